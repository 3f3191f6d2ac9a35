"""The ways to call an exported model: what goes in, what comes out, and how it is refused."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf

IMAGE_BYTES, PIXELS, MODALITY = "image_bytes", "pixels", "modality"
CAMERA, K = "camera", "k"
EMBEDDING = "embedding"
IDS, CAMERAS, SCORES = "ids", "cameras", "scores"

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


def require(x: tf.Tensor, *checks: Sequence[Any]) -> tf.Tensor:
    """``x``, for what may run in a graph only after the conditions hold.

    Args:
      x: any tensor.
      checks: the condition of each, scalar bool, and what refuses the request: a sentence, and
        tensors that end it.
    """
    asserted = [tf.debugging.Assert(condition, said) for condition, *said in checks]
    with tf.control_dependencies(asserted):
        return tf.identity(x)
