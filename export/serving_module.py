"""What a server runs: from the bytes or the pixels of images to embeddings that can be compared.

Decoding, resizing and normalising are part of the model and are the functions training and testing
use, so that no client can prepare an image in another way than the network was trained on.
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import tensorflow as tf
from official.core import export_base

from cmnas_tf.data.augment import normalize
from cmnas_tf.data.decode import decode, resize
from cmnas_tf.modality import INFRARED, VISIBLE, Rows
from cmnas_tf.models import ReidNetwork
from cmnas_tf.models.specification import Specification

IMAGE_BYTES = "image_bytes"
PIXELS = "pixels"
EMBEDDING = "embedding"

INPUTS = {
    IMAGE_BYTES: tf.TensorSpec([None], tf.string, IMAGE_BYTES),
    PIXELS: tf.TensorSpec([None, None, None, 3], tf.uint8, PIXELS),
}


class Signature(NamedTuple):
    """A way to call the model: which modality the images are of, and the form they come in."""

    modality: str
    form: str


SIGNATURES = {
    "embed_visible": Signature(VISIBLE, IMAGE_BYTES),
    "embed_infrared": Signature(INFRARED, IMAGE_BYTES),
    "embed_visible_pixels": Signature(VISIBLE, PIXELS),
    "embed_infrared_pixels": Signature(INFRARED, PIXELS),
    tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY: Signature(VISIBLE, IMAGE_BYTES),
}


class Encoder(tf.Module):
    """A trained network up to its embedding.

    Holds the variables that an embedding depends on, and nothing else that would be stored with
    them: no classifier, and no Keras object, of which a SavedModel would keep every layer.

    Attributes:
      weights: backbone and neck.

    Args:
      network: a trained network.
    """

    def __init__(self, network: ReidNetwork):
        super().__init__()
        self.weights = [*network.backbone.variables, *network.head.neck.variables]
        self._encode = functools.partial(_encode, network)  # unlike an attribute, is not stored

    def __call__(self, images: tf.Tensor, modality: str, training: bool = False) -> tf.Tensor:
        """``images`` [N, H, W, 3] float32, normalised, all of one modality -> [N, D] float32."""
        return self._encode(images, modality, training)


def _encode(network: ReidNetwork, images: tf.Tensor, modality: str, training: bool) -> tf.Tensor:
    """The embedding of ``network.embed``, without its logits."""
    rows = Rows({modality: tf.shape(images)[0]})
    features = network.backbone(images, rows, training=training)  # [N, h, w, D]
    _, embedding = network.head.embed(features, training=training)
    return embedding


class ServingModule(export_base.ExportModule):
    """An encoder with everything between a request and its answer.

    Args:
      specification: of the network; gives the size of its input.
      encoder: called as ``encoder(images, modality, training=False)``.
    """

    def __init__(self, specification: Specification, encoder: tf.Module):
        super().__init__(specification, encoder)

    @tf.function(autograph=False)
    def serve(self, pixels: tf.Tensor, modality: str) -> dict[str, tf.Tensor]:
        """``pixels`` [N, height, width, 3] uint8 -> embedding [N, D] float32, rows of norm 1."""
        embedding = self.inference_step(normalize(pixels), modality)
        return {EMBEDDING: tf.math.l2_normalize(embedding, axis=1)}

    def get_inference_signatures(self, function_keys: Mapping[str, str]) -> dict[str, Any]:
        """The functions to export.

        Args:
          function_keys: ``{key of SIGNATURES: name of the signature in the exported model}``.

        Returns:
          By name, functions from what ``INPUTS`` tells to ``{"embedding": [N, D] float32}``.
        """
        return {name: self._function(SIGNATURES[key]) for key, name in function_keys.items()}

    def _function(self, signature: Signature) -> Any:
        prepare = {IMAGE_BYTES: self._decode, PIXELS: self._resize}[signature.form]

        @tf.function(autograph=False, input_signature=[INPUTS[signature.form]])
        def embed(images):
            return self.serve(prepare(images), signature.modality)

        return embed

    def _decode(self, image_bytes: tf.Tensor) -> tf.Tensor:
        size = (self.params.height, self.params.width)
        pixels = tf.TensorSpec([*size, 3], tf.uint8)
        return tf.map_fn(lambda one: decode(one, *size), image_bytes, fn_output_signature=pixels)

    def _resize(self, pixels: tf.Tensor) -> tf.Tensor:
        return resize(pixels, self.params.height, self.params.width)
