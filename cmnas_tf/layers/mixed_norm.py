"""The normalisation of the supernet: a weighted mixture of separate and shared."""

from typing import Any

import tensorflow as tf
from tensorflow import keras

from cmnas_tf.layers.batch_norm import BatchNorm
from cmnas_tf.layers.modality_norm import normalize_separately
from cmnas_tf.layers.relaxation import Relaxation, Softmax
from cmnas_tf.modality import MODALITIES, Rows


@keras.utils.register_keras_serializable("cmnas_tf")
class MixedModalityNorm(keras.layers.Layer):
    """Separate and shared batch norm at once, mixed by trainable logits.

    ``out = w[0] separate(x) + w[1] shared(x)`` with ``w = relaxation(architecture_logits)``: the
    batch norms' *outputs* are mixed (our choice; the search was never released).

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
        """Normalises ``x`` [rows, ..., C], visible rows first."""
        weights = tf.cast(self.relaxation(self.architecture_logits, self.name), x.dtype)
        separate = normalize_separately(self.branches(), x, rows, training)
        return weights[0] * separate + weights[1] * self.shared(x, training=training)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, for Keras' config round trip; the relaxation is not among them."""
        return {**super().get_config(), "synchronized": self.synchronized}
