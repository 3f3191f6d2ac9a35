"""The normalisation of the supernet: a weighted mixture of separate and shared."""

from collections.abc import Sequence
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
      synchronized, affine: see :class:`BatchNorm`.
    """

    def __init__(
        self,
        relaxation: Relaxation | None = None,
        synchronized: bool = False,
        affine: bool = True,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.relaxation = relaxation or Softmax()
        self.synchronized = synchronized
        self.affine = affine
        for name in (*MODALITIES, "shared"):
            norm = BatchNorm(
                affine=affine, synchronized=synchronized, name=name, dtype=self.dtype_policy
            )
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
        norms = [self.branches()[name] for name in parts]
        if training:
            own = [norm.batch(part) for norm, part in zip(norms, parts.values(), strict=True)]
            both = Statistics.of_union(own)
            for norm, statistics in zip((*norms, self.shared), (*own, both), strict=True):
                norm.update(statistics.mean, statistics.unbiased_variance)
        else:
            own = [norm.running() for norm in norms]
            both = self.shared.running()
        scale, offset = self._mixture(norms, own, both, weights)
        maps = zip(parts.values(), own, tf.unstack(scale), tf.unstack(offset), strict=True)
        mixed = [affine(part, statistics.mean, s, o) for part, statistics, s, o in maps]
        return mixed[0] if len(mixed) == 1 else tf.concat(mixed, axis=0)

    def _mixture(
        self,
        norms: Sequence[BatchNorm],
        own: Sequence[Statistics],
        both: Statistics,
        weights: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Scale and offset of the mixture around the own mean of each modality, each [M, C].

        Both normalisations are affine per channel, so is their mixture. The M modalities are
        computed at once: a supernet has so many sites that its graph is kept small.
        """
        separate_scale = tf.stack([n.scale(s) for n, s in zip(norms, own, strict=True)])
        shared_scale = self.shared.scale(both)
        # Around the own mean no digits cancel.
        distance = tf.stack([statistics.mean for statistics in own]) - both.mean
        shared_offset = self.shared.beta + shared_scale * distance
        separate_offset = tf.stack([norm.beta for norm in norms])
        # The weights add up to 1, and the difference of the two is what the logits' gradient is
        # about: taken here, it does not have to be left over from two large sums.
        separate = weights[0]
        return (
            shared_scale + separate * (separate_scale - shared_scale),
            shared_offset + separate * (separate_offset - shared_offset),
        )

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, for Keras' config round trip; with the softmax alone."""
        if not isinstance(self.relaxation, Softmax):
            raise NotImplementedError(
                f"A layer relaxed by {type(self.relaxation).__name__} shares it with other layers, "
                "so it cannot be made again from a config of its own."
            )
        config = {"synchronized": self.synchronized, "affine": self.affine}
        return {**super().get_config(), **config}
