"""Pooling against windows cut out in NumPy with PyTorch's padding."""

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf.layers import avg_pool_3x3, generalized_mean, max_pool_3x3
from tests.oracles import convolution as oracle
from tests.oracles.finite_differences import assert_gradients

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


def test_generalized_mean_by_hand():
    """1, 2 and 3 with power 3: the cube root of 36 / 3; with power 1 the mean. -5 counts as 0."""
    x = tf.reshape(tf.constant([1.0, 2.0, 3.0]), [1, 1, 3, 1])
    np.testing.assert_allclose(generalized_mean(x, 3.0), [[12 ** (1 / 3)]], rtol=1e-6)
    np.testing.assert_allclose(generalized_mean(x, 1.0), [[2.0]], rtol=1e-6)
    below = tf.reshape(tf.constant([-5.0, 2.0]), [1, 2, 1, 1])
    np.testing.assert_allclose(generalized_mean(below, 3.0), [[4 ** (1 / 3)]], rtol=1e-6)


@pytest.mark.parametrize("power", [0.5, 1.0, 3.0, 6.5])
def test_generalized_mean_equals_the_equation(power):
    x = np.random.default_rng(1).random((3, 5, 4, 6))
    expected = ((x**power).mean(axis=(1, 2)) + 1e-12) ** (1 / power)
    found = generalized_mean(tf.constant(x), power)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_gradients_of_the_generalized_mean():
    x = 0.1 + np.random.default_rng(1).random((2, 3, 2, 4))
    towards = np.random.default_rng(2).standard_normal((2, 4))
    assert_gradients(
        lambda x, p: tf.reduce_sum(generalized_mean(x, p) * towards), [x, np.float64(3.0)]
    )


def test_the_generalized_mean_of_nothing_has_a_finite_gradient():
    x, power = tf.Variable(tf.zeros([1, 2, 2, 3])), tf.Variable(3.0)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(generalized_mean(x, power))
    assert all(np.isfinite(gradient).all() for gradient in tape.gradient(total, [x, power]))
