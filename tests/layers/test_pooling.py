"""Pooling against windows cut out in NumPy with PyTorch's padding."""

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf.layers import avg_pool_3x3, max_pool_3x3
from tests.oracles import convolution as oracle

SIZES = [(8, 6), (7, 5), (8, 5), (2, 1)]
KINDS = {"max": (max_pool_3x3, oracle.max_pool), "avg": (avg_pool_3x3, oracle.avg_pool)}


def test_by_hand():
    """Row -1 -2 -3 -4, stride 2: the windows hold -1 -2 and -2 -3 -4; padding counts for nothing.

    TensorFlow's "same" would take -1 -2 -3 and -3 -4.
    """
    x = tf.reshape(tf.constant([-1.0, -2.0, -3.0, -4.0]), [1, 1, 4, 1])
    np.testing.assert_allclose(tf.reshape(max_pool_3x3(x), [-1]), [-1.0, -2.0])
    np.testing.assert_allclose(tf.reshape(avg_pool_3x3(x), [-1]), [-1.5, -3.0], rtol=1e-6)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_oracle(kind, stride, size):
    """Numbers around -2, so that a window that counted zeros would show it."""
    pool, expected = KINDS[kind]
    x = np.random.default_rng(1).standard_normal((2, *size, 3)) - 2.0
    np.testing.assert_allclose(pool(tf.constant(x), stride), expected(x, stride), atol=1e-12)


@pytest.mark.parametrize("dtype", [tf.bfloat16, tf.float16])
@pytest.mark.parametrize("kind", KINDS)
def test_keeps_narrow_numbers(kind, dtype):
    """Even at the edge, where the padding of a maximum is the smallest number there is."""
    x = tf.cast(np.random.default_rng(1).standard_normal((1, 5, 4, 2)) - 2.0, dtype)
    y = KINDS[kind][0](x, 2)
    assert y.dtype == dtype
    expected = KINDS[kind][1](tf.cast(x, tf.float64).numpy(), 2)
    np.testing.assert_allclose(tf.cast(y, tf.float64), expected, rtol=0.02)
