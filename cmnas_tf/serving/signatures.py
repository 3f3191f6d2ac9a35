"""The ways to call an exported model: what goes in, what comes out, and their names."""

from typing import NamedTuple

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
