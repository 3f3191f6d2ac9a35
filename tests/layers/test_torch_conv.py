"""Convolution against windows cut out in NumPy with PyTorch's padding."""

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf.layers import TorchConv
from tests.oracles import convolution as oracle

SIZES = [(8, 6), (7, 5), (8, 5)]


def test_by_hand():
    """Row 1 2 3 4, kernel of ones, stride 2, padded by 1: windows 0 1 2 and 2 3 4 -> 3 and 9.

    TensorFlow's "same" would cut 1 2 3 and 3 4 0 -> 6 and 7.
    """
    layer = TorchConv(1, 3, strides=2)
    x = tf.reshape(tf.constant([1.0, 2.0, 3.0, 4.0]), [1, 1, 4, 1])
    layer.build(x.shape)
    layer.kernel.assign(tf.ones_like(layer.kernel))
    np.testing.assert_allclose(tf.reshape(layer(x), [-1]), [3.0, 9.0])


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("kernel_size", [1, 3, 7])
def test_equals_the_oracle(kernel_size, strides, size):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2, *size, 3))
    layer = TorchConv(4, kernel_size, strides, dtype="float64")
    y = layer(tf.constant(x))
    expected = oracle.convolve(x, layer.kernel.numpy(), strides)
    np.testing.assert_allclose(y, expected, atol=1e-12)


def test_starts_as_torchvision_does():
    """He normal by fan-out: deviation sqrt(2 / (9 * 64)) = 0.0589, not truncated, and no bias."""
    layer = TorchConv(64, 3)
    layer.build(tf.TensorShape([None, 4, 4, 32]))
    (kernel,) = layer.weights
    assert kernel.shape == (3, 3, 32, 64)
    deviation = (2 / (9 * 64)) ** 0.5
    assert np.std(kernel) == pytest.approx(deviation, rel=0.02)  # 18,432 draws: 0.5 % is expected
    assert abs(np.mean(kernel)) < 0.03 * deviation
    assert np.abs(kernel).max() > 3 * deviation  # a truncated normal stops at 2 deviations
