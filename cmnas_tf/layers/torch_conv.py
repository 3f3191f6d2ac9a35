"""Convolution with PyTorch's padding."""

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


def pad(x: tf.Tensor, width: int, value: float = 0.0) -> tf.Tensor:
    """``x`` [N, H, W, C] with ``width`` rows and columns of ``value`` on every side."""
    if width == 0:
        return x
    sides = [[0, 0], [width, width], [width, width], [0, 0]]
    return tf.pad(x, sides, constant_values=tf.cast(value, x.dtype))
