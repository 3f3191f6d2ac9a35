"""Depthwise convolution with PyTorch's padding."""

from typing import Any

import tensorflow as tf
import tf_keras as keras

from cmnas_tf.layers.torch_conv import pad


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
