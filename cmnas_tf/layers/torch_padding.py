"""Convolutions and pooling with PyTorch's padding, and pooling of whole maps."""

from typing import Any

import tensorflow as tf
import tf_keras as keras


@keras.utils.register_keras_serializable("cmnas_tf")
class TorchConv(keras.layers.Layer):
    """A square convolution without bias, padded symmetrically by ``kernel_size // 2``.

    TensorFlow's "same" padding at stride 2 is not symmetric, so the input is padded first; at
    stride 1 the two agree, and "same" is faster than explicit padding on a CPU. Initialised like
    torchvision's ResNets: He normal, fan-out (He et al., ICCV 2015).

    Attributes:
      kernel: [kernel_size, kernel_size, channels, filters].

    Args:
      filters: output channels.
      kernel_size: side length of the kernel, odd.
      strides: the same in both directions.
    """

    def __init__(self, filters: int, kernel_size: int, strides: int = 1, **kwargs: Any):
        super().__init__(**kwargs)
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd. Received: {kernel_size}")
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates the kernel."""
        self.kernel = self.add_weight(
            "kernel",
            (self.kernel_size, self.kernel_size, int(input_shape[-1]), self.filters),
            initializer=keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal"),
        )
        super().build(input_shape)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Convolves ``x`` [N, H, W, C]."""
        if self.strides == 1:
            return tf.nn.conv2d(x, self.kernel, 1, "SAME")
        return tf.nn.conv2d(pad(x, self.kernel_size // 2), self.kernel, self.strides, "VALID")


@keras.utils.register_keras_serializable("cmnas_tf")
class DepthwiseConv(keras.layers.Layer):
    """A 3x3 convolution of each channel by itself, without bias, padded by the dilation.

    Initialised as He normal (He et al., ICCV 2015; our choice).

    Attributes:
      kernel: [3, 3, channels, 1].

    Args:
      strides: 1 or 2, the same in both directions.
      dilation: distance of the kernel's taps, 1 or 2.
    """

    def __init__(self, strides: int = 1, dilation: int = 1, **kwargs: Any):
        super().__init__(**kwargs)
        if strides not in (1, 2) or dilation not in (1, 2):
            raise ValueError(
                f"strides and dilation must be 1 or 2. Received: {strides}, {dilation}"
            )
        self.strides = strides
        self.dilation = dilation

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates the kernel."""
        # Each output is a sum over 9 inputs; Keras would count 9 * channels of them.
        initializer = keras.initializers.RandomNormal(0.0, (2.0 / 9.0) ** 0.5)
        shape = (3, 3, int(input_shape[-1]), 1)
        self.kernel = self.add_weight("kernel", shape, initializer=initializer)
        super().build(input_shape)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Convolves ``x`` [N, H, W, C] -> [N, ceil(H / strides), ceil(W / strides), C]."""
        if self.strides == 1:
            dilations = [self.dilation] * 2
            return tf.nn.depthwise_conv2d(x, self.kernel, [1] * 4, "SAME", dilations=dilations)
        if self.dilation == 2:
            # Every tap falls on an even row and column, on which it is an ordinary convolution;
            # the kernel for stride 2 takes no dilation.
            return tf.nn.depthwise_conv2d(x[:, ::2, ::2], self.kernel, [1] * 4, "SAME")
        return tf.nn.depthwise_conv2d(pad(x, 1), self.kernel, [1, 2, 2, 1], "VALID")


def max_pool_3x3(x: tf.Tensor, stride: int = 2) -> tf.Tensor:
    """Maximum over 3x3 windows of ``x`` [N, H, W, C], of what lies inside; at stride 1 or 2."""
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


def pad(x: tf.Tensor, width: int, value: float = 0.0) -> tf.Tensor:
    """``x`` [N, H, W, C] with ``width`` rows and columns of ``value`` on every side."""
    if width == 0:
        return x
    sides = [[0, 0], [width, width], [width, width], [0, 0]]
    return tf.pad(x, sides, constant_values=tf.cast(value, x.dtype))
