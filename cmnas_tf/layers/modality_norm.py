"""The normalisation of a derived network: separate per modality, or shared."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

from cmnas_tf.architecture import CHOICES, SEPARATE
from cmnas_tf.layers.batch_norm import BatchNorm
from cmnas_tf.modality import MODALITIES, Rows


class Branches(keras.layers.Layer):
    """Base of a layer that owns a batch norm for each of ``names``.

    Args:
      synchronized, affine: see :class:`BatchNorm`.
    """

    def __init__(self, names: Sequence[str], synchronized: bool, affine: bool, **kwargs: Any):
        super().__init__(**kwargs)
        self._names = tuple(names)
        self.synchronized, self.affine = synchronized, affine
        for name in names:
            norm = BatchNorm(
                affine=affine, synchronized=synchronized, name=name, dtype=self.dtype_policy
            )
            setattr(self, name, norm)

    def branches(self) -> dict[str, BatchNorm]:
        """The batch norms this site owns, by name."""
        return {name: getattr(self, name) for name in self._names}

    def build(self, input_shape: tf.TensorShape) -> None:
        """Builds every branch, also one whose modality the first batch does not have."""
        for norm in self.branches().values():
            norm.build(input_shape)
        super().build(input_shape)


@keras.utils.register_keras_serializable("cmnas_tf")
class ModalityNorm(Branches):
    """One batch norm for both modalities, or one for each (CM-NAS, section 3.1).

    Owns one or two :class:`BatchNorm`, never a dead one: ``shared``, or ``visible`` and
    ``infrared``.

    Args:
      choice: ``"shared"`` or ``"separate"``.
      synchronized, affine: see :class:`BatchNorm`.
    """

    def __init__(self, choice: str, synchronized: bool = False, affine: bool = True, **kwargs: Any):
        if choice not in CHOICES:
            raise ValueError(f"choice must be one of {CHOICES}. Received: {choice!r}")
        names = MODALITIES if choice == SEPARATE else ("shared",)
        super().__init__(names, synchronized, affine, **kwargs)
        self.choice = choice

    def call(self, x: tf.Tensor, rows: Rows, training: bool = False) -> tf.Tensor:
        """Normalises ``x`` [rows, ..., C], visible rows first."""
        if self.choice != SEPARATE:
            return self.shared(x, training=training)
        norms = self.branches()
        parts = [norms[name](part, training=training) for name, part in rows.split(x).items()]
        return parts[0] if len(parts) == 1 else tf.concat(parts, axis=0)
