"""The two passes over a feature map that normalisation needs: its moments, and an affine map.

Everything between the two, per channel, is cheap. Both run on the fused batch-norm kernels, which
are several times faster than the operations they replace: in training mode the kernel gives the
moments, in inference mode it is an affine map, and its gradient there is that of an affine map.
"""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf
from tensorflow.python.framework.config import is_op_determinism_enabled

# The kernel's variance and epsilon, chosen to add up to 1: what is left of it is an affine map.
_EPSILON = 1e-5


class Statistics(NamedTuple):
    """Moments of a set of rows, per channel."""

    mean: tf.Tensor  # [C]
    variance: tf.Tensor  # biased, [C]
    # Values per channel; a number where the shape is known beforehand, which keeps the graph of a
    # network with many norms small, otherwise a scalar of the same dtype.
    size: tf.Tensor | float

    @property
    def unbiased_variance(self) -> tf.Tensor:
        """What belongs into a running variance, [C]."""
        maximum = max if isinstance(self.size, float) else tf.maximum
        return self.variance * (self.size / maximum(self.size - 1.0, 1.0))

    @classmethod
    def of(cls, x: tf.Tensor) -> "Statistics":
        """Moments of ``x`` [N, H, W, C], in float32 at least; differentiable."""
        if x.dtype == tf.float64:
            mean, variance = tf.nn.moments(x, axes=[0, 1, 2])
        else:
            mean, variance = _fused_moments(x)
        return cls(mean, variance, _size(x))

    @classmethod
    def of_union(cls, parts: "Sequence[Statistics]") -> "Statistics":
        """Moments of the rows of all parts together.

        The variance is the mean of the variances plus the spread of the means: unlike E[x^2] minus
        E[x]^2 it loses no digits when the mean is large.
        """
        size = sum(part.size for part in parts)
        means = tf.stack([part.mean for part in parts])  # [parts, C]
        variances = tf.stack([part.variance for part in parts])
        share = tf.convert_to_tensor([[part.size / size] for part in parts], means.dtype)
        mean = tf.reduce_sum(share * means, axis=0)
        variance = tf.reduce_sum(share * (variances + tf.square(means - mean)), axis=0)
        return cls(mean, variance, size)

    def over_replicas(self) -> "Statistics":
        """Moments of the rows of all replicas, which must hold equally many; differentiable."""
        replica = tf.distribute.get_replica_context()
        if replica.num_replicas_in_sync == 1:
            return self
        mean = replica.all_reduce(tf.distribute.ReduceOp.MEAN, self.mean)
        spread = self.variance + tf.square(self.mean - mean)
        variance = replica.all_reduce(tf.distribute.ReduceOp.MEAN, spread)
        return Statistics(mean, variance, self.size * replica.num_replicas_in_sync)


def affine(x: tf.Tensor, centre: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor) -> tf.Tensor:
    """``(x - centre) * scale + offset``, per channel.

    Args:
      x: [N, H, W, C].
      centre, scale, offset: [C], float32 (float64 with a float64 ``x``).

    Returns:
      [N, H, W, C], of the dtype of ``x``.
    """
    if x.dtype == tf.float64 or is_op_determinism_enabled():
        # The gradient of the fused kernel has no deterministic form on a GPU.
        exact = (tf.cast(x, centre.dtype) - centre) * scale + offset
        return tf.cast(exact, x.dtype)
    # Tensors, since a function with its own gradient treats variables as something else.
    return _fused_affine(x, *map(tf.convert_to_tensor, (centre, scale, offset)))


def _size(x: tf.Tensor) -> tf.Tensor | float:
    """Values per channel of ``x`` [N, H, W, C]."""
    known = x.shape[:-1].num_elements()
    if known is not None:
        return float(known)
    return tf.cast(tf.size(x) // x.shape[-1], tf.float64 if x.dtype == tf.float64 else tf.float32)


@tf.custom_gradient
def _fused_moments(x: tf.Tensor):
    ones, zeros = (tf.constant(value, shape=x.shape[-1:]) for value in (1.0, 0.0))
    nothing = tf.constant([])
    _, mean, unbiased, *_ = tf.raw_ops.FusedBatchNormV3(
        x=x, scale=ones, offset=zeros, mean=nothing, variance=nothing, epsilon=_EPSILON
    )
    size = _size(x)

    def gradient(d_mean: tf.Tensor, d_variance: tf.Tensor) -> tf.Tensor:
        return affine(x, mean, d_variance * (2.0 / size), d_mean / size)

    return (mean, unbiased * ((size - 1.0) / size)), gradient


@tf.custom_gradient
def _fused_affine(x: tf.Tensor, centre: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor):
    variance = tf.constant(1.0 - _EPSILON, shape=x.shape[-1:])
    normed = {"x": x, "scale": scale, "epsilon": _EPSILON, "is_training": False}
    y, *_ = tf.raw_ops.FusedBatchNormV3(offset=offset, mean=centre, variance=variance, **normed)

    def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, ...]:
        found = tf.raw_ops.FusedBatchNormGradV3(
            y_backprop=dy,
            reserve_space_1=centre,
            reserve_space_2=variance,
            reserve_space_3=tf.zeros([0]),  # the other kernel's own costs a tenth of the time
            **normed,
        )
        d_offset = found.offset_backprop
        return found.x_backprop, -scale * d_offset, found.scale_backprop, d_offset

    return y, gradient
