"""The normalisation of a derived network: separate per modality, or shared."""

from typing import Any

import tensorflow as tf
import tf_keras as keras

from cmnas_tf.architecture import CHOICES, SEPARATE
from cmnas_tf.layers.batch_norm import BatchNorm
from cmnas_tf.modality import MODALITIES, Rows


@keras.utils.register_keras_serializable("cmnas_tf")
class ModalityNorm(keras.layers.Layer):
    """One batch norm for both modalities, or one for each (CM-NAS, section 3.1).

    Owns one or two :class:`BatchNorm`, never a dead one: ``shared``, or ``visible`` and
    ``infrared``.

    Args:
      choice: ``"shared"`` or ``"separate"``.
      synchronized, affine: see :class:`BatchNorm`.
    """

    def __init__(self, choice: str, synchronized: bool = False, affine: bool = True, **kwargs: Any):
        super().__init__(**kwargs)
        if choice not in CHOICES:
            raise ValueError(f"choice must be one of {CHOICES}. Received: {choice!r}")
        self.choice = choice
        self.synchronized = synchronized
        self.affine = affine
        for name in MODALITIES if choice == SEPARATE else ("shared",):
            norm = BatchNorm(
                affine=affine, synchronized=synchronized, name=name, dtype=self.dtype_policy
            )
            setattr(self, name, norm)

    def branches(self) -> dict[str, BatchNorm]:
        """The batch norms this site owns, by name: ``shared``, or ``visible`` and ``infrared``."""
        names = MODALITIES if self.choice == SEPARATE else ("shared",)
        return {name: getattr(self, name) for name in names}

    def build(self, input_shape: tf.TensorShape) -> None:
        """Builds every branch, also one whose modality the first batch does not have."""
        for norm in self.branches().values():
            norm.build(input_shape)
        super().build(input_shape)

    def call(self, x: tf.Tensor, rows: Rows, training: bool = False) -> tf.Tensor:
        """Normalises ``x`` [rows, ..., C], visible rows first."""
        if self.choice != SEPARATE:
            return self.shared(x, training=training)
        norms = self.branches()
        parts = [norms[name](part, training=training) for name, part in rows.split(x).items()]
        return parts[0] if len(parts) == 1 else tf.concat(parts, axis=0)
