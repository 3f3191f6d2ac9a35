"""The part-aware operation of Auto-ReID: parts of a body look at each other."""

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from cmnas_tf.errors import BadInput
from cmnas_tf.genotype import PARTS
from cmnas_tf.modality import Rows
from cmnas_tf.models.operations import ConvNorm, FactorizedReduce, MakeNorm, Operation, below


class PartAware(Operation):
    """Adds to every pixel what its horizontal stripe found in all of them (authors' released code).

    The feature map is cut into :data:`PARTS` stripes. The mean of each goes through a ReLU, a
    linear map of the stripe's own to a third of the channels, and batch norm. Among these part
    vectors ``P`` [PARTS, h] there is attention without scaling and without a value map,
    ``softmax(keys(P) queries(P)^T) P``. Each result is laid over its stripe, behind the channels of
    the input, and a 1x1 convolution and batch norm (:class:`FactorizedReduce` at stride 2) give the
    output.

    Attributes:
      kernel, bias: of the stripes' linear maps, [PARTS, channels, h] and [PARTS, h].

    Args:
      channels: of the input and of the output.
      stride: 1 or 2.
      make_norm: gives the norms.
    """

    norm_names = ("parts_bn", "last.bn")

    def __init__(self, channels: int, stride: int, make_norm: MakeNorm, **kwargs: Any):
        super().__init__(**kwargs)
        self.hidden = max(1, channels // 3)
        self.parts_bn = make_norm("parts_bn")
        # The few numbers of the part vectors are float32 under any policy.
        self.keys = keras.layers.Dense(self.hidden, dtype=self.variable_dtype)
        self.queries = keras.layers.Dense(self.hidden, dtype=self.variable_dtype)
        if stride == 2:
            self.last: Operation = FactorizedReduce(channels, below(make_norm, "last"))
        else:
            self.last = ConvNorm(channels, below(make_norm, "last"), relu=False)

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates the linear maps of the stripes."""
        channels = int(input_shape[-1])
        self.kernel = self.add_weight(
            "kernel",
            (PARTS, channels, self.hidden),
            initializer=keras.initializers.RandomNormal(0.0, channels**-0.5),  # our choice
            experimental_autocast=False,
        )
        self.bias = self.add_weight(
            "bias", (PARTS, self.hidden), initializer="zeros", experimental_autocast=False
        )
        super().build(input_shape)

    def call(self, x: tf.Tensor, rows: Rows, training: bool = False) -> tf.Tensor:
        """See :class:`Operation`; the height must be known.

        Raises:
          BadInput: ``x`` has fewer rows than there are parts.
        """
        stripes = stripes_of(x.shape).astype(self.variable_dtype)  # [PARTS, H]
        parts = self._parts(x, stripes, rows, training)  # [N * PARTS, h]
        keys, queries, parts = (
            tf.reshape(vectors, [-1, PARTS, self.hidden])
            for vectors in (self.keys(parts), self.queries(parts), parts)
        )
        attention = tf.nn.softmax(tf.einsum("nph,nqh->npq", keys, queries))
        found = tf.einsum("npq,nqh->nph", attention, parts)
        lines = tf.cast(tf.einsum("py,nph->nyh", stripes, found), x.dtype)  # [N, H, h]
        laid = tf.tile(lines[:, :, None], [1, 1, tf.shape(x)[2], 1])  # [N, H, W, h]
        return self.last(tf.concat([x, laid], axis=-1), rows=rows, training=training)

    def _parts(self, x: tf.Tensor, stripes: np.ndarray, rows: Rows, training: bool) -> tf.Tensor:
        lines = tf.cast(tf.reduce_mean(x, axis=2), self.variable_dtype)  # [N, H, C]
        shares = stripes / stripes.sum(axis=1, keepdims=True)
        means = tf.nn.relu(tf.einsum("py,nyc->npc", shares, lines))
        parts = tf.einsum("npc,pch->nph", means, self.kernel) + self.bias
        # One batch norm over the channels of all parts is a batch norm for each.
        parts = tf.reshape(parts, [-1, 1, 1, PARTS * self.hidden])
        parts = self.parts_bn(parts, rows=rows, training=training)
        return tf.reshape(tf.cast(parts, self.variable_dtype), [-1, self.hidden])


def stripes_of(shape: tf.TensorShape) -> np.ndarray:
    """The rows of a feature map [N, H, W, C] that each part has: ones and zeros, [PARTS, H].

    The part i ends above the row ``(i + 1) * H // PARTS``.

    Raises:
      BadInput: there are fewer rows than parts.
    """
    height, width = shape[1:3]
    if height < PARTS:
        raise BadInput(
            f"The part-aware operation cuts its input into {PARTS} horizontal stripes, and this "
            f"one is {height} x {width} (height x width). Give taller images (`image_height`), "
            "or cells without part_aware."
        )
    ends = np.arange(1, PARTS + 1) * height // PARTS
    part = np.searchsorted(ends, np.arange(height), side="right")  # of each row
    return np.equal.outer(np.arange(PARTS), part)
