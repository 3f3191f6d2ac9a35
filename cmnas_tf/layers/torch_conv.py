"""Convolution and pooling with PyTorch's padding."""

from typing import Any

import tensorflow as tf
from tensorflow import keras


@keras.utils.register_keras_serializable("cmnas_tf")
class TorchConv(keras.layers.Conv2D):
    """A square convolution without bias, padded symmetrically by ``kernel_size // 2``.

    TensorFlow's "same" padding at stride 2 is not symmetric, so the input is padded first; at
    stride 1 the two agree and "same" is faster than explicit padding on a CPU. Initialised like
    torchvision's ResNets: He normal, fan-out (He et al., ICCV 2015).

    Args:
      filters: output channels.
      kernel_size: odd side length of the kernel.
      strides: 1 or 2, the same in both directions.
    """

    def __init__(self, filters: int, kernel_size: int, strides: int = 1, **kwargs: Any):
        kwargs.setdefault(
            "kernel_initializer",
            keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal"),
        )
        super().__init__(
            filters,
            kernel_size,
            strides=strides,
            padding="same" if strides == 1 else "valid",
            use_bias=False,
            **kwargs,
        )

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Convolves ``x`` [N, H, W, C]."""
        return super().call(x if self.padding == "same" else _pad(x, self.kernel_size[0] // 2))

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, for Keras' config round trip."""
        config = super().get_config()
        for fixed in ("padding", "use_bias"):
            config.pop(fixed)
        return {**config, "kernel_size": self.kernel_size[0], "strides": self.strides[0]}


def max_pool_3x3(x: tf.Tensor) -> tf.Tensor:
    """Maximum over 3x3 windows at stride 2, padded by 1, for ``x`` [N, H, W, C] that is >= 0.

    Padding with 0 instead of -inf is the same after a ReLU.
    """
    return tf.nn.max_pool2d(_pad(x, 1), 3, 2, "VALID")


def _pad(x: tf.Tensor, width: int) -> tf.Tensor:
    return x if width == 0 else tf.pad(x, [[0, 0], [width, width], [width, width], [0, 0]])
