"""Moments and affine maps on the fused kernels against float64 NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf.layers import statistics
from cmnas_tf.layers.statistics import Statistics, affine
from tests.oracles.finite_differences import assert_gradients

SHAPE = (5, 3, 2, 4)


def batch(shape: tuple[int, ...] = SHAPE, mean: float = 2.0) -> np.ndarray:
    return mean + 3.0 * np.random.default_rng(1).standard_normal(shape)


def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    flat = x.reshape(-1, x.shape[-1])
    return flat.mean(axis=0), flat.var(axis=0)


def test_by_hand():
    """Values 1, 3, 8: mean 4, variance (9 + 1 + 16) / 3, unbiased (9 + 1 + 16) / 2."""
    found = Statistics.of(tf.reshape(tf.constant([1.0, 3.0, 8.0]), [3, 1, 1, 1]))
    np.testing.assert_allclose(found.mean, [4.0], rtol=1e-6)
    np.testing.assert_allclose(found.variance, [26 / 3], rtol=1e-6)
    np.testing.assert_allclose(found.unbiased_variance, [13.0], rtol=1e-6)
    assert float(found.size) == 3.0


@pytest.mark.parametrize(
    "dtype, tolerance", [("float64", 1e-12), ("float32", 1e-6), ("bfloat16", 1e-6)]
)
def test_moments(dtype, tolerance):
    """Of float32 at least: a bfloat16 batch loses nothing beyond its own rounding."""
    x = tf.cast(batch(), dtype)
    found = Statistics.of(x)
    mean, variance = moments(x.numpy().astype(np.float64))
    wide = tf.float64 if dtype == "float64" else tf.float32
    assert found.mean.dtype == found.variance.dtype == wide
    np.testing.assert_allclose(found.mean, mean, rtol=tolerance)
    np.testing.assert_allclose(found.variance, variance, rtol=tolerance)
    assert float(found.size) == 30.0


def test_a_union_of_unequal_parts_has_the_moments_of_all_rows():
    """Also where the parts' means are 1,000 apart from 0 and hardly apart from each other."""
    for first, second in ((0.0, 50.0), (1000.0, 1001.0)):
        parts = [batch((3, 2, 2, 4), first), batch((7, 2, 2, 4), second)]
        union = Statistics.of_union([Statistics.of(tf.constant(p, tf.float32)) for p in parts])
        mean, variance = moments(np.concatenate(parts).astype(np.float32).astype(np.float64))
        np.testing.assert_allclose(union.mean, mean, rtol=1e-5)
        np.testing.assert_allclose(union.variance, variance, rtol=1e-4)
        assert float(union.size) == 40.0


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_of_a_batch_whose_size_is_not_known_beforehand(dtype):
    """The number of values is then part of the graph, and nothing else changes."""

    @tf.function(input_signature=[tf.TensorSpec([None, None, 2, 4], dtype)] * 2)
    def unbiased(a, b):
        union = Statistics.of_union([Statistics.of(a), Statistics.of(b)])
        return union.mean, union.unbiased_variance

    a, b = batch(), batch((1, 1, 2, 4), 5.0)
    both = np.concatenate([part.reshape(-1, 4) for part in (a, b)])
    mean, variance = unbiased(tf.constant(a, dtype), tf.constant(b, dtype))
    np.testing.assert_allclose(mean, both.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(variance, both.var(axis=0, ddof=1), rtol=1e-5)


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-12), ("float32", 1e-5)])
def test_gradient_of_the_moments(dtype, tolerance):
    """d mean / d x = 1 / n, d variance / d x = 2 (x - mean) / n, and a batch's union with another
    passes both on.
    """
    x, rng = batch(), np.random.default_rng(2)
    d_mean, d_variance = rng.standard_normal((2, 4))
    inputs = tf.constant(x, dtype)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        found = Statistics.of(inputs)
        total = tf.reduce_sum(found.mean * d_mean + found.variance * d_variance)
    mean, _ = moments(x)
    expected = d_mean / 30 + d_variance * 2 * (x - mean) / 30
    np.testing.assert_allclose(tape.gradient(total, inputs), expected, atol=tolerance)


def test_gradient_of_a_union():
    """By finite differences, in float64."""
    weights = np.random.default_rng(2).standard_normal((2, 4))

    def function(a, b):
        union = Statistics.of_union([Statistics.of(a), Statistics.of(b)])
        return tf.reduce_sum(weights * tf.stack([union.mean, union.variance]))

    assert_gradients(function, [batch((2, 1, 1, 4)), batch((3, 1, 1, 4), 5.0)], tolerance=1e-6)


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-12), ("float32", 1e-5)])
def test_affine_and_its_gradients(monkeypatch, dtype, tolerance, deterministic):
    """On the fused kernels, and without them where they are not deterministic:
    y = (x - c) s + o: dx = s dy, dc = -s sum(dy), ds = sum(dy (x - c)), do = sum(dy)."""
    monkeypatch.setattr(statistics, "is_op_determinism_enabled", lambda: deterministic)
    rng, x = np.random.default_rng(3), batch()
    dy, (c, s, o) = rng.standard_normal(SHAPE), rng.standard_normal((3, 4))
    inputs = [tf.constant(value, dtype) for value in (x, c, s, o)]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        y = affine(*inputs)
        total = tf.reduce_sum(tf.cast(dy, dtype) * y)
    np.testing.assert_allclose(y, (x - c) * s + o, atol=tolerance * 10)
    sums = dy.sum(axis=(0, 1, 2))
    expected = [s * dy, -s * sums, (dy * (x - c)).sum(axis=(0, 1, 2)), sums]
    for gradient, value in zip(tape.gradient(total, inputs), expected, strict=True):
        np.testing.assert_allclose(gradient, value, atol=tolerance * np.abs(value).max())


@pytest.mark.parametrize("deterministic", [False, True])
def test_affine_keeps_bfloat16(monkeypatch, deterministic):
    monkeypatch.setattr(statistics, "is_op_determinism_enabled", lambda: deterministic)
    x = tf.cast(batch(), tf.bfloat16)
    y = affine(x, tf.zeros([4]), tf.fill([4], 2.0), tf.ones([4]))
    assert y.dtype == tf.bfloat16
    exact = 2.0 * x.numpy().astype(np.float64) + 1.0
    np.testing.assert_allclose(y.numpy().astype(np.float64), exact, rtol=2**-8)
