"""What an edge of a cell can do: the operations of DARTS that Auto-ReID took over.

Liu et al., ICLR 2019, with PyTorch's padding; ``part_aware`` has a file of its own. Batch norms
come from outside, by their name within the operation: a search leaves out scale and offset, and a
network for two modalities may keep their statistics apart.
"""

import operator
from collections.abc import Callable
from typing import Any, Protocol

import tensorflow as tf
import tf_keras as keras

from cmnas_tf.layers import DepthwiseConv, TorchConv
from cmnas_tf.modality import Rows


class MakeNorm(Protocol):
    """Gives the norm at a site; a norm is called as ``norm(x, rows=rows, training=training)``."""

    def __call__(self, site: str, affine: bool = True) -> keras.layers.Layer:
        """A new layer; it has no scale and offset when not ``affine``."""


def below(make_norm: MakeNorm, prefix: str) -> MakeNorm:
    """The norms of the sites whose names begin with ``prefix`` and a dot."""
    return lambda site, affine=True: make_norm(f"{prefix}.{site}", affine)


class Operation(keras.layers.Layer):
    """From ``x`` [N, H, W, C] to [N, ceil(H / stride), ceil(W / stride), channels].

    ``cell_plan.norms_of`` tells the names of its norms without TensorFlow.
    """

    norm_names: tuple[str, ...] = ("bn",)

    def norms(self) -> dict[str, keras.layers.Layer]:
        """The norms by their name within the operation, in the order a batch meets them."""
        return {name: operator.attrgetter(name)(self) for name in self.norm_names}


class Identity(Operation):
    """A skip connection at stride 1."""

    norm_names = ()

    def call(self, x: tf.Tensor, rows: Rows, training: bool = False) -> tf.Tensor:
        """See :class:`Operation`."""
        return x


class FactorizedReduce(Operation):
    """A skip connection at stride 2: halves the feature map, and passes over no pixel.

    ReLU; half of the channels from the even rows and columns, half from the odd ones, by 1x1
    convolutions; batch norm. Behind an odd number of rows or columns comes one more, of zeros
    (authors' released code).
    """

    def __init__(self, channels: int, make_norm: MakeNorm, **kwargs: Any):
        super().__init__(**kwargs)
        self.even = TorchConv(channels // 2, 1)
        self.odd = TorchConv(channels - channels // 2, 1)
        self.bn = make_norm("bn")

    def call(self, x: tf.Tensor, rows: Rows, training: bool = False) -> tf.Tensor:
        """See :class:`Operation`."""
        x = tf.nn.relu(x)
        longer = tf.pad(x, [[0, 0], [0, 1], [0, 1], [0, 0]])
        x = tf.concat([self.even(x[:, ::2, ::2]), self.odd(longer[:, 1::2, 1::2])], axis=-1)
        return self.bn(x, rows=rows, training=training)


class ConvNorm(Operation):
    """1x1 convolution and batch norm, with a ReLU before them or without."""

    def __init__(self, channels: int, make_norm: MakeNorm, relu: bool, **kwargs: Any):
        super().__init__(**kwargs)
        self.relu = relu
        self.conv = TorchConv(channels, 1)
        self.bn = make_norm("bn")

    def call(self, x: tf.Tensor, rows: Rows, training: bool = False) -> tf.Tensor:
        """See :class:`Operation`; the stride is 1."""
        x = tf.nn.relu(x) if self.relu else x
        return self.bn(self.conv(x), rows=rows, training=training)


class Pool(Operation):
    """3x3 pooling and a batch norm without scale and offset, in derived networks too."""

    def __init__(
        self,
        pool: Callable[[tf.Tensor, int], tf.Tensor],  # with 3x3 windows
        stride: int,
        make_norm: MakeNorm,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.pool = pool
        self.stride = stride
        self.bn = make_norm("bn", affine=False)

    def call(self, x: tf.Tensor, rows: Rows, training: bool = False) -> tf.Tensor:
        """See :class:`Operation`."""
        return self.bn(self.pool(x, self.stride), rows=rows, training=training)


class DepthwiseSeparable(Operation):
    """ReLU, depthwise 3x3 convolution, 1x1 convolution, batch norm; ``dil_conv_3x3`` dilates it."""

    def __init__(
        self, channels: int, stride: int, make_norm: MakeNorm, dilation: int = 1, **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.depthwise = DepthwiseConv(stride, dilation)
        self.pointwise = TorchConv(channels, 1)
        self.bn = make_norm("bn")

    def call(self, x: tf.Tensor, rows: Rows, training: bool = False) -> tf.Tensor:
        """See :class:`Operation`."""
        x = self.pointwise(self.depthwise(tf.nn.relu(x)))
        return self.bn(x, rows=rows, training=training)


class SeparableConv(Operation):
    """``sep_conv_3x3``: twice :class:`DepthwiseSeparable`; the first one has the stride."""

    norm_names = ("first.bn", "second.bn")

    def __init__(self, channels: int, stride: int, make_norm: MakeNorm, **kwargs: Any):
        super().__init__(**kwargs)
        self.first = DepthwiseSeparable(channels, stride, below(make_norm, "first"))
        self.second = DepthwiseSeparable(channels, 1, below(make_norm, "second"))

    def call(self, x: tf.Tensor, rows: Rows, training: bool = False) -> tf.Tensor:
        """See :class:`Operation`."""
        x = self.first(x, rows=rows, training=training)
        return self.second(x, rows=rows, training=training)
