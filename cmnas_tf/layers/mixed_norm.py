"""The normalisation of the supernet: a weighted mixture of separate and shared."""

from typing import Any

import tensorflow as tf
from tensorflow import keras

from cmnas_tf.layers.batch_norm import BatchNorm
from cmnas_tf.layers.relaxation import Relaxation, Softmax
from cmnas_tf.layers.statistics import Statistics, affine
from cmnas_tf.modality import MODALITIES, Rows


@keras.utils.register_keras_serializable("cmnas_tf")
class MixedModalityNorm(keras.layers.Layer):
    """Separate and shared batch norm at once, mixed by trainable logits.

    ``out = w[0] separate(x) + w[1] shared(x)`` with ``w = relaxation(architecture_logits)``: the
    batch norms' *outputs* are mixed (our choice; the search was never released).

    Computed as one affine map: per channel and modality the mixture of the two outputs is
    ``x (w0 g_m / s_m + w1 g_s / s_s) + const``, and the shared statistics follow from those of the
    modalities, so each modality's rows are read once for their moments and once to be mapped,
    whatever is mixed.

    Attributes:
      architecture_logits: [2] float32, (separate, shared), 0 at the start.
      visible, infrared, shared: the three :class:`BatchNorm`.

    Args:
      relaxation: how the logits become mixture weights; softmax when not given.
      synchronized: see :class:`BatchNorm`.
    """

    def __init__(
        self, relaxation: Relaxation | None = None, synchronized: bool = False, **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.relaxation = relaxation or Softmax()
        self.synchronized = synchronized
        for name in (*MODALITIES, "shared"):
            norm = BatchNorm(synchronized=synchronized, name=name, dtype=self.dtype_policy)
            setattr(self, name, norm)

    def branches(self) -> dict[str, BatchNorm]:
        """The batch norms by name: ``visible``, ``infrared``, ``shared``."""
        return {name: getattr(self, name) for name in (*MODALITIES, "shared")}

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates the logits and builds the three batch norms."""
        self.architecture_logits = self.add_weight(
            "architecture_logits", (2,), initializer="zeros", experimental_autocast=False
        )
        for norm in self.branches().values():
            norm.build(input_shape)
        super().build(input_shape)

    def call(self, x: tf.Tensor, rows: Rows, training: bool = False) -> tf.Tensor:
        """Normalises ``x`` [rows, H, W, C], visible rows first."""
        weights = self.relaxation(self.architecture_logits, self.name)
        parts = rows.split(x)
        if training:
            own = {name: self.branches()[name].batch(part) for name, part in parts.items()}
            both = Statistics.of_union(list(own.values()))
            for name, statistics in (*own.items(), ("shared", both)):
                self.branches()[name].update(statistics.mean, statistics.unbiased_variance)
        else:
            own = {name: self.branches()[name].running() for name in parts}
            both = self.shared.running()
        mixed = [self._mix(part, name, own[name], both, weights) for name, part in parts.items()]
        return mixed[0] if len(mixed) == 1 else tf.concat(mixed, axis=0)

    def _mix(
        self, x: tf.Tensor, modality: str, own: Statistics, both: Statistics, weights: tf.Tensor
    ) -> tf.Tensor:
        """Both normalisations are affine per channel, so is their mixture; ``x`` [n, H, W, C]."""
        separate, shared = self.branches()[modality], self.shared
        separate_scale, shared_scale = separate.scale(own), shared.scale(both)
        # Both are written around the modality's own mean, where no digits cancel.
        shared_offset = shared.beta + shared_scale * (own.mean - both.mean)
        return affine(
            x,
            own.mean,
            weights[0] * separate_scale + weights[1] * shared_scale,
            weights[0] * separate.beta + weights[1] * shared_offset,
        )

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, for Keras' config round trip; with the softmax alone."""
        if not isinstance(self.relaxation, Softmax):
            raise NotImplementedError(
                f"A layer relaxed by {type(self.relaxation).__name__} shares it with other layers, "
                "so it cannot be made again from a config of its own."
            )
        return {**super().get_config(), "synchronized": self.synchronized}
