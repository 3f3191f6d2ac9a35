"""What a server runs: from the bytes or the pixels of images to embeddings that can be compared.

Decoding, resizing and normalising are part of the model and are the functions training and testing
use, so that no client can prepare an image in another way than the network was trained on.
"""

import uuid
from collections.abc import Mapping
from functools import partial
from typing import Any

import tensorflow as tf

from cmnas_tf.errors import BadInput
from cmnas_tf.extras import needing
from cmnas_tf.models import ReidNetwork
from cmnas_tf.models.specification import Specification
from cmnas_tf.serving.encoder import Encoder
from cmnas_tf.serving.exported_model import ServedForm
from cmnas_tf.serving.gallery import Gallery
from cmnas_tf.serving.identification import Identification
from cmnas_tf.serving.reading_images import read_files, read_pixels
from cmnas_tf.serving.signatures import INPUTS, Signature, checked, of_rows, require

with needing("serving"):
    from official.core import export_base

_BATCHES_AT_A_TIME = 2
_MOST_IMAGES = 4096  # of a request


class ServingModule(export_base.ExportModule):
    """A network up to its embedding, with everything between a request and its answer.

    Args:
      network, specification: a trained network, and how it was built.
      gallery: to search in; without one there is no ``identify``.
      form: how it computes, in a precision that is not ``auto``.
    """

    def __init__(
        self,
        network: ReidNetwork,
        specification: Specification,
        gallery: Gallery | None = None,
        form: ServedForm | None = None,
    ):
        form = form or ServedForm()
        narrow = form.precision == "bfloat16"
        super().__init__(specification, Encoder(network, specification, form.frozen, narrow))
        self.identification = None if gallery is None else Identification(gallery)
        self.form = form
        self._unique_name = uuid.uuid4().hex
        pixels = tf.TensorSpec([None, specification.height, specification.width, 3], tf.uint8)
        # Traced once: inside a condition they would be traced, and frozen weights stored, again.
        self._serve = {
            modality: tf.function(
                partial(self.serve, modality=modality), autograph=False
            ).get_concrete_function(pixels)
            for modality in specification.modalities
        }

    @property
    def signatures(self) -> dict[str, Signature]:
        """The ways to call it, by name."""
        modalities = self.params.modalities
        found = {}
        for modality in modalities:
            found[f"embed_{modality}"] = Signature(("image_bytes",), modality)
            found[f"embed_{modality}_pixels"] = Signature(("pixels",), modality)
        found["embed"] = Signature(("image_bytes", "modality"))
        default = "embed" if len(modalities) > 1 else f"embed_{modalities[0]}"
        found[tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY] = found[default]
        if self.identification is not None:
            found["identify"] = Signature(("image_bytes", "modality", "camera", "k"))
        chosen = self.form.signatures or tuple(found)
        if unknown := set(chosen) - set(found):
            raise BadInput(
                f"signatures={', '.join(sorted(unknown))} cannot be exported of this network; "
                f"choose among {', '.join(found)}."
            )
        return {name: found[name] for name in found if name in chosen}

    def serve(self, pixels: tf.Tensor, modality: str) -> tf.Tensor:
        """``pixels`` [N, height, width, 3] uint8 -> embedding [N, D] float32, rows of norm 1."""
        return self.model.embed(pixels, modality)

    def get_inference_signatures(self, function_keys: Mapping[str, str]) -> dict[str, Any]:
        """``{name of the exported signature: function}`` of ``{key of signatures: that name}``.

        The functions take what ``INPUTS`` tells, and give what ``outputs`` tells.
        """
        return {name: self._function(self.signatures[key]) for key, name in function_keys.items()}

    def outputs(self, signature: Signature) -> list[tf.TensorSpec]:
        """What a signature answers."""
        if "k" not in signature.inputs:
            return [tf.TensorSpec([None, self.model.size], tf.float32, "embedding")]
        kinds = {"ids": tf.string, "cameras": tf.string, "scores": tf.float32}
        lists = [tf.TensorSpec([None, None], kind, name) for name, kind in kinds.items()]
        return [*lists, tf.TensorSpec([None], tf.int32, "count")]

    def _function(self, signature: Signature) -> Any:
        @tf.function(autograph=False, input_signature=[INPUTS[name] for name in signature.inputs])
        def answer(*inputs):
            named = dict(zip(signature.inputs, inputs, strict=True))
            given = checked(named, self.form.max_images)
            images, built = signature.inputs[0], self.params
            read = read_pixels if images == "pixels" else partial(read_files, grey16=built.grey16)
            pixels = read(given[images], built.height, built.width, self.form.max_pixels)
            if signature.modality:
                embedding = self._embed_together(pixels, signature.modality)
            else:
                embedding = self._embed_mixed(pixels, given["modality"])
            if self.identification is None or "k" not in given:
                return {"embedding": embedding}
            return self.identification(embedding, given["camera"], given["k"])

        return answer

    def _embed_together(self, pixels: tf.Tensor, modality: str) -> tf.Tensor:
        """``serve``, together with the images of other requests where that is asked for."""
        if not self.form.batch_images:
            return self._serve[modality](pixels)

        def computed(pixels):
            return self._serve[modality](pixels)

        # All signatures share the queue of this name, and models in one process must not.
        computed.__name__ = f"{modality}_{self._unique_name}"
        batched = tf.nondifferentiable_batch_function(
            _BATCHES_AT_A_TIME,
            _MOST_IMAGES,
            round(1000 * self.form.batch_wait_ms),
            # Larger requests are cut up; all sizes are allowed, so that none is padded.
            allowed_batch_sizes=list(range(1, self.form.batch_images + 1)),
            autograph=False,
        )
        return tf.ensure_shape(batched(computed)(pixels), [None, self.model.size])

    def _embed_mixed(self, pixels: tf.Tensor, modality: tf.Tensor) -> tf.Tensor:
        """Each image by the graph of its own modality."""
        allowed = self.params.modalities
        known = tf.reduce_any(modality[:, None] == tf.constant(allowed), axis=1)
        said = f"modality must be one of the network's, {', '.join(allowed)}. Row, received:"
        received = tf.strings.substr(modality, 0, 40)
        modality = require(modality, of_rows(known, said, received))
        rows, parts = [], []
        for name in allowed:
            rows.append(tf.cast(tf.where(modality == name)[:, 0], tf.int32))
            parts.append(self._embed_rows(tf.gather(pixels, rows[-1]), name))
        return tf.dynamic_stitch(rows, parts)

    def _embed_rows(self, pixels: tf.Tensor, modality: str) -> tf.Tensor:
        """``pixels`` of one modality, of which there may be none: convolutions need one."""
        return tf.cond(
            tf.shape(pixels)[0] > 0,
            lambda: self._embed_together(pixels, modality),
            lambda: tf.zeros([0, self.model.size]),
        )
