"""Batch normalisation against a hand-worked case, float64 NumPy and finite differences."""

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf.layers import BatchNorm
from tests.oracles import norms as oracle
from tests.oracles.finite_differences import assert_gradients

SHAPES = [(4, 3, 2, 5), (7, 5), (3, 4, 5)]


def built(channels: int, dtype: str = "float32", **arguments) -> tuple[BatchNorm, oracle.BatchNorm]:
    """A layer with random parameters and statistics, and the oracle that has the same."""
    rng = np.random.default_rng(7)
    layer = BatchNorm(dtype=dtype, **arguments)
    layer.build(tf.TensorShape([None, channels]))
    same = oracle.BatchNorm(
        gamma=1 + 0.3 * rng.standard_normal(channels),
        beta=0.3 * rng.standard_normal(channels),
        moving_mean=rng.standard_normal(channels),
        moving_variance=np.exp(rng.standard_normal(channels)),
    )
    for name, value in vars(same).items():
        getattr(layer, name).assign(value)
    return layer, same


def batch(shape: tuple[int, ...], seed: int = 1) -> np.ndarray:
    return 2.0 + 3.0 * np.random.default_rng(seed).standard_normal(shape)


def assert_same_statistics(layer: BatchNorm, expected: oracle.BatchNorm, tolerance: float):
    for name in ("moving_mean", "moving_variance"):
        np.testing.assert_allclose(getattr(layer, name), getattr(expected, name), rtol=tolerance)


def test_by_hand():
    """One channel, rows 1 and 3: mean 2, variance 1, unbiased variance ((-1)^2 + 1^2) / 1 = 2.

    Output (-1, 1) / sqrt(1 + 1e-5). Running statistics from (0, 1): 0.9 * 0 + 0.1 * 2 = 0.2 and
    0.9 * 1 + 0.1 * 2 = 1.1. In inference 1 becomes (1 - 0.2) / sqrt(1.1 + 1e-5).
    """
    layer = BatchNorm()
    x = tf.constant([[1.0], [3.0]])
    np.testing.assert_allclose(layer(x, training=True), [[-0.999995], [0.999995]], atol=1e-6)
    np.testing.assert_allclose(layer.moving_mean, [0.2], rtol=1e-6)
    np.testing.assert_allclose(layer.moving_variance, [1.1], rtol=1e-6)
    np.testing.assert_allclose(layer(x)[0], [0.8 / 1.10001**0.5], rtol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-5), ("float64", 1e-12)])
def test_equals_the_oracle(shape, dtype, tolerance):
    """Two training passes and an inference; the variance is unbiased whatever the rank."""
    layer, expected = built(5, dtype)
    for seed in (1, 2):
        x = batch(shape, seed)
        y = layer(tf.constant(x, dtype), training=True)
        assert y.shape == shape
        np.testing.assert_allclose(y, expected.train(x), atol=tolerance * 10)
        assert_same_statistics(layer, expected, tolerance)
    x = batch(shape, 3)
    np.testing.assert_allclose(layer(tf.constant(x, dtype)), expected.infer(x), atol=tolerance * 10)
    assert_same_statistics(layer, expected, tolerance)  # not moved by the inference


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(3, 2, 2, 2), (5, 2)])
def test_gradient(shape, training):
    """Float64, for the input, gamma and beta; the weights of the sum make it depend on all."""
    layer, _ = built(2, "float64")
    weights = np.random.default_rng(5).standard_normal(shape)
    gamma, beta = layer.gamma.numpy(), layer.beta.numpy()

    def function(x, gamma, beta):
        layer.gamma, layer.beta = gamma, beta
        return tf.reduce_sum(weights * layer(x, training=training))

    assert_gradients(function, [batch(shape), gamma, beta], tolerance=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_fused_kernels_gradient_equals_the_oracle(shape):
    """Float32 goes through the fused kernel, which finite differences are too coarse for."""
    layer, same = built(5)
    x, dy = batch(shape), np.random.default_rng(5).standard_normal(shape)
    inputs = tf.constant(x, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        total = tf.reduce_sum(tf.cast(dy, tf.float32) * layer(inputs, training=True))
    sources = {"x": inputs, "gamma": layer.gamma, "beta": layer.beta}
    for name, gradient in tape.gradient(total, sources).items():
        expected = same.gradients(x, dy)[name]
        np.testing.assert_allclose(gradient, expected, atol=2e-5 * np.abs(expected).max())


def test_a_large_mean_costs_no_digits():
    """Mean 1,000, deviation 1: E[x^2] - E[x]^2 would lose six of float32's seven digits."""
    layer, expected = built(3)
    x = (1000 + np.random.default_rng(1).standard_normal((64, 3))).astype(np.float32)
    y = layer(x, training=True)
    np.testing.assert_allclose(y, expected.train(x.astype(np.float64)), atol=1e-3)
    assert_same_statistics(layer, expected, 1e-4)


def test_one_row_is_its_own_mean():
    layer, expected = built(3)
    moving_variance = expected.moving_variance.copy()
    y = layer(batch((1, 3)).astype(np.float32), training=True)
    np.testing.assert_allclose(y, expected.beta[None], atol=1e-6)
    np.testing.assert_allclose(layer.moving_variance, 0.9 * moving_variance, rtol=1e-5)


def test_bfloat16_in_float32_inside():
    """Under mixed_bfloat16 the output is bfloat16, statistics and parameters are float32."""
    layer, expected = built(5, "mixed_bfloat16")
    x = tf.cast(batch((8, 4, 4, 5)), tf.bfloat16)
    y = layer(x, training=True)
    assert y.dtype == tf.bfloat16
    assert {weight.dtype for weight in layer.weights} == {tf.float32}
    exact = expected.train(x.numpy().astype(np.float64))
    np.testing.assert_allclose(
        y.numpy().astype(np.float64), exact, atol=2**-8 * np.abs(exact).max()
    )
    assert_same_statistics(layer, expected, 1e-4)


def test_beta_can_stay_zero():
    layer = BatchNorm(train_beta=False)
    layer.build(tf.TensorShape([None, 4]))
    assert [weight.name for weight in layer.trainable_weights] == ["gamma:0"]
    assert len(layer.non_trainable_weights) == 3
    np.testing.assert_array_equal(layer.beta, np.zeros(4))


def test_momentum_and_epsilon():
    """Momentum 0.5, rows 1 and 3: 0.5 * 0 + 0.5 * 2 and 0.5 * 1 + 0.5 * 2; epsilon 3 halves."""
    layer = BatchNorm(momentum=0.5, epsilon=3.0)
    y = layer(tf.constant([[1.0], [3.0]]), training=True)
    np.testing.assert_allclose(y, [[-0.5], [0.5]], rtol=1e-6)
    np.testing.assert_allclose(layer.moving_mean, [1.0], rtol=1e-6)
    np.testing.assert_allclose(layer.moving_variance, [1.5], rtol=1e-6)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-5), ("float64", 1e-12)])
def test_without_scale_and_offset(dtype, tolerance, training):
    """It equals the norm whose gamma is 1 and beta 0, and has running statistics alone."""
    layer = BatchNorm(affine=False, dtype=dtype)
    x = batch((4, 3, 2, 5))
    layer.build(x.shape)
    assert [weight.name.split("/")[-1] for weight in layer.weights] == [
        "moving_mean:0",
        "moving_variance:0",
    ]
    expected = oracle.BatchNorm(np.ones(5), np.zeros(5), np.full(5, 2.0), np.full(5, 3.0))
    layer.set_weights([expected.moving_mean, expected.moving_variance])
    y = layer(tf.constant(x, dtype), training=training)
    reference = expected.train(x) if training else expected.infer(x)
    np.testing.assert_allclose(y, reference, atol=10 * tolerance)
    assert_same_statistics(layer, expected, tolerance)
