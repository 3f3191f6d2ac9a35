"""Non-local block: every place of a feature map sees every other one."""

from typing import Any

import tensorflow as tf
import tf_keras as keras

from cmnas_tf.layers import BatchNorm


class NonLocal(keras.layers.Layer):
    """``z_i = x_i + norm(W y_i)`` with ``y_i = 1/N sum_j theta(x_i) . phi(x_j) g(x_j)``.

    Wang et al., CVPR 2018, eq. 1, 4 and 6 (dot product), over the N places of one image, as in
    AGW's released code. ``theta``, ``phi`` and ``g`` are 1x1 convolutions with bias to half of the
    channels, ``W`` one back to all of them. The norm, which both modalities share, has a scale that
    starts at 0, so that a new block changes nothing.

    Args:
      channels: C, of its input and output.
      synchronized: see :class:`BatchNorm`.
    """

    def __init__(self, channels: int, synchronized: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        inner = max(1, channels // 2)
        for name, filters in {"g": inner, "theta": inner, "phi": inner, "W": channels}.items():
            # PyTorch's default, from which AGW starts; biases start at 0 (our choice).
            uniform = keras.initializers.VarianceScaling(1 / 3, distribution="uniform")
            setattr(self, name, keras.layers.Conv2D(filters, 1, kernel_initializer=uniform))
        self.norm = BatchNorm(gamma_initializer="zeros", synchronized=synchronized)

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """``x`` [n, H, W, C] -> the same shape."""
        places = tf.cast(tf.shape(x)[1] * tf.shape(x)[2], x.dtype)
        theta, phi, g = self.theta(x), self.phi(x), self.g(x)  # each [n, H, W, C / 2]
        # Without a softmax the factors may be multiplied from the right: [n, C / 2, C / 2] numbers
        # are fewer than one for every pair of places.
        mean = tf.einsum("nhwc,nhwd->ncd", phi, g) / places
        y = tf.einsum("nhwc,ncd->nhwd", theta, mean)
        return x + self.norm(self.W(y), training=training)
