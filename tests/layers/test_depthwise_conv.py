"""Depthwise convolution against windows cut out in NumPy with PyTorch's padding."""

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf.layers import DepthwiseConv
from tests.oracles import convolution as oracle
from tests.oracles.finite_differences import assert_gradients

SIZES = [(8, 6), (7, 5), (8, 5), (2, 1)]
STEPS = [(1, 1), (2, 1), (1, 2), (2, 2)]


def test_by_hand():
    """Row 1 2 3 4 5, kernel of ones, stride 2, dilation 2, padded by 2: 0 + 1 + 3, 1 + 3 + 5 and
    3 + 5 + 0.
    """
    layer = DepthwiseConv(strides=2, dilation=2)
    x = tf.reshape(tf.constant([1.0, 2.0, 3.0, 4.0, 5.0]), [1, 1, 5, 1])
    layer.build(x.shape)
    layer.kernel.assign(tf.ones_like(layer.kernel))
    np.testing.assert_allclose(tf.reshape(layer(x), [-1]), [4.0, 9.0, 8.0])


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("strides, dilation", STEPS)
def test_equals_the_oracle(strides, dilation, size):
    x = np.random.default_rng(1).standard_normal((2, *size, 3))
    layer = DepthwiseConv(strides, dilation, dtype="float64")
    y = layer(tf.constant(x))
    expected = oracle.depthwise(x, layer.kernel.numpy(), strides, dilation)
    np.testing.assert_allclose(y, expected, atol=1e-12)


@pytest.mark.parametrize("strides, dilation", STEPS)
def test_gradient(strides, dilation):
    layer, rng = DepthwiseConv(strides, dilation, dtype="float64"), np.random.default_rng(1)
    x = rng.standard_normal((2, 5, 4, 2))
    weights = rng.standard_normal(layer(tf.constant(x)).shape)

    def function(x, kernel):
        layer.kernel = kernel
        return tf.reduce_sum(weights * layer(x))

    assert_gradients(function, [x, layer.kernel.numpy()])


def test_starts_as_he_normal_over_nine_inputs():
    """Deviation sqrt(2 / 9) = 0.471, whatever the number of channels; no bias."""
    layer = DepthwiseConv()
    layer.build(tf.TensorShape([None, 4, 4, 1000]))
    (kernel,) = layer.weights
    assert kernel.shape == (3, 3, 1000, 1)
    assert np.std(kernel) == pytest.approx((2 / 9) ** 0.5, rel=0.03)  # 9,000 draws: 0.75 % expected


@pytest.mark.parametrize("steps", [(3, 1), (1, 3), (0, 1)])
def test_refuses_other_steps(steps):
    with pytest.raises(ValueError, match=f"Received: {steps[0]}, {steps[1]}"):
        DepthwiseConv(*steps)
