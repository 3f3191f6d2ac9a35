"""The ways to call an exported model: what goes in, what comes out, and how it is refused."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import tensorflow as tf

T = TypeVar("T")

INPUTS = {
    "image_bytes": tf.TensorSpec([None], tf.string, "image_bytes"),
    "pixels": tf.TensorSpec([None, None, None, 3], tf.uint8, "pixels"),
    "modality": tf.TensorSpec([None], tf.string, "modality"),
    "camera": tf.TensorSpec([None], tf.string, "camera"),
    "k": tf.TensorSpec([None], tf.int32, "k"),
}


class Signature(NamedTuple):
    """A way to call the model."""

    inputs: tuple[str, ...]  # names of ``INPUTS``
    modality: str = ""  # of all images; "" where each image's own is among the inputs


def require(x: T, *checks: Sequence[Any]) -> T:
    """``x``, for what may run in a graph only after the conditions hold.

    Args:
      x: any tensor, or tensors.
      checks: the condition of each, scalar bool, and what refuses the request: a sentence, and
        tensors that end it.
    """
    asserted = [
        tf.raw_ops.Assert(condition=condition, data=said, summarize=8)
        for condition, *said in checks
    ]
    with tf.control_dependencies(asserted):
        return tf.nest.map_structure(tf.identity, x)


def of_rows(fit: tf.Tensor, sentence: str, *columns: tf.Tensor) -> tuple[Any, ...]:
    """A check for ``require`` of rows, of which the first one that does not fit ends the sentence.

    Args:
      fit: whether each row does, [N] bool, N > 0.
      sentence: that is ended by the number of the row, from 0, and its entries of ``columns`` [N].
    """
    row = tf.argmax(~fit)
    return tf.reduce_all(fit), sentence, row, *(tf.gather(column, row) for column in columns)


def checked(given: Mapping[str, tf.Tensor], max_images: int) -> dict[str, tf.Tensor]:
    """Inputs by name, the images first, for what may run only if their shapes are allowed."""
    shaped = {name: require(x, _shape(name, x)) for name, x in given.items()}
    rows = {name: tf.shape(x)[0] for name, x in shaped.items()}
    images, *_ = rows.values()
    some = (images > 0, "The batch is empty; it must have at least one image.")
    few = (images <= max_images, f"A request must have at most {max_images} images. It has", images)
    said = "Every input must have a row for each image. Images, input, its rows:"
    same = [(found == images, said, images, name, found) for name, found in rows.items()]
    return require(shaped, some, few, *same)


def _shape(name: str, x: tf.Tensor) -> tuple[Any, ...]:
    """A check of what servers do not look at."""
    # Behind this op nothing is known of it, or TensorFlow would take the check for superfluous.
    shape = tf.shape(tf.compat.v1.placeholder_with_default(x, None))
    wanted, fits = "[images]", tf.size(shape) == INPUTS[name].shape.rank
    if name == "pixels":
        wanted, fits = "[images, height, width, 3]", fits & tf.reduce_all(shape[-1:] == 3)
    return fits, f"{name} must have the shape {wanted}. It has", shape
