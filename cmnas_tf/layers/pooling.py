"""Pooling with PyTorch's padding, by 1 on every side, which no window counts; and of whole maps."""

import tensorflow as tf

from cmnas_tf.layers.torch_conv import pad


def max_pool_3x3(x: tf.Tensor, stride: int = 2) -> tf.Tensor:
    """Maximum over 3x3 windows of ``x`` [N, H, W, C], at stride 1 or 2."""
    if stride == 1:
        return tf.nn.max_pool2d(x, 3, 1, "SAME")
    return tf.nn.max_pool2d(pad(x, 1, x.dtype.min), 3, stride, "VALID")


def avg_pool_3x3(x: tf.Tensor, stride: int = 2) -> tf.Tensor:
    """Mean over 3x3 windows of ``x`` [N, H, W, C], of what lies inside; at stride 1 or 2."""
    if stride == 1:
        return tf.nn.avg_pool2d(x, 3, 1, "SAME")
    inside = tf.ones_like(x[:1, :, :, :1])
    shares = tf.nn.avg_pool2d(pad(inside, 1), 3, stride, "VALID")
    return tf.nn.avg_pool2d(pad(x, 1), 3, stride, "VALID") / shares


def generalized_mean(x: tf.Tensor, power: tf.Tensor | float) -> tf.Tensor:
    """``(mean(x^p) + 1e-12)^(1/p)`` of each map of ``x`` [N, H, W, C] -> [N, C], p > 0.

    GeM (Radenovic et al., TPAMI 2019), with the constant of AGW's released code. Numbers below 0,
    which a ResNet does not give, count as 0 (our choice).
    """
    power = tf.cast(power, x.dtype)
    return tf.pow(tf.reduce_mean(tf.pow(tf.nn.relu(x), power), axis=[1, 2]) + 1e-12, 1.0 / power)
