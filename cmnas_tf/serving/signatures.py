"""The ways to call an exported model: what goes in, what comes out, and how it is refused."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import tensorflow as tf

IMAGE_BYTES, PIXELS, MODALITY = "image_bytes", "pixels", "modality"
CAMERA, K = "camera", "k"
EMBEDDING = "embedding"
IDS, CAMERAS, SCORES, COUNT = "ids", "cameras", "scores", "count"

EMPTY = "The batch is empty; it must have at least one image."
ROWS = "Every input must have a row for each image. Images, input, its rows:"

T = TypeVar("T")

INPUTS = {
    IMAGE_BYTES: tf.TensorSpec([None], tf.string, IMAGE_BYTES),
    PIXELS: tf.TensorSpec([None, None, None, 3], tf.uint8, PIXELS),
    MODALITY: tf.TensorSpec([None], tf.string, MODALITY),
    CAMERA: tf.TensorSpec([None], tf.string, CAMERA),
    K: tf.TensorSpec([None], tf.int32, K),
}


class Signature(NamedTuple):
    """A way to call the model.

    Attributes:
      inputs: names of ``INPUTS``.
      modality: of all images; "" where each image's own is among the inputs.
    """

    inputs: tuple[str, ...]
    modality: str = ""


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
    """Inputs by name, for what may run only if their shapes and numbers of rows are allowed.

    Args:
      given: the images first.
      max_images: the most that a request may have.
    """
    shaped = {name: require(x, _shape(name, x)) for name, x in given.items()}
    rows = {name: tf.shape(x)[0] for name, x in shaped.items()}
    images, *_ = rows.values()
    few = (images <= max_images, f"A request must have at most {max_images} images. It has", images)
    same = [(found == images, ROWS, images, name, found) for name, found in rows.items()]
    return require(shaped, (images > 0, EMPTY), few, *same)


def _shape(name: str, x: tf.Tensor) -> tuple[Any, ...]:
    """A check of what servers do not look at."""
    sizes, form = INPUTS[name].shape, ["images", "height", "width", "channels"]
    wanted = ", ".join(str(size or word) for size, word in zip(sizes, form, strict=False))
    # Behind this op nothing is known of it, or TensorFlow would take the check for superfluous.
    shape = tf.shape(tf.compat.v1.placeholder_with_default(x, None))
    fits = tf.size(shape) == len(sizes)
    if sizes[-1]:
        fits &= tf.reduce_all(shape[-1:] == sizes[-1])
    return fits, f"{name} must have the shape [{wanted}]. It has", shape
