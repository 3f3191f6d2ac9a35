"""The non-local block: by hand, against the equation in NumPy, and its gradient."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from cmnas_tf.models.non_local import NonLocal
from tests.oracles import norms
from tests.oracles.finite_differences import assert_gradients, assert_variable_gradients
from tests.oracles.policies import dtype_policy


def block(channels, seed=1):
    """In float64; every variable random, its norm's scale too."""
    keras.utils.set_random_seed(seed)
    with dtype_policy("float64"):
        layer = NonLocal(channels)
    layer(tf.zeros([1, 1, 1, channels], tf.float64))
    random = np.random.default_rng(seed)
    for weight in layer.weights:
        weight.assign(0.5 + random.random(weight.shape))
    return layer


def features(seed=2, shape=(3, 4, 2, 6)):
    return np.random.default_rng(seed).standard_normal(shape)


def oracle(layer, x, training):
    """Equation 1 and 4, place by place: every place asks every place of its own image."""

    def convolved(convolution, x):
        return x @ convolution.kernel.numpy()[0, 0] + convolution.bias.numpy()

    y = np.empty((*x.shape[:3], x.shape[3] // 2))
    for image in range(len(x)):
        places = x[image].reshape(-1, x.shape[3])
        theta, phi, g = (convolved(f, places) for f in (layer.theta, layer.phi, layer.g))
        found = [sum((t @ p) * v for p, v in zip(phi, g, strict=True)) / len(places) for t in theta]
        y[image] = np.reshape(found, y[image].shape)
    norm = norms.BatchNorm(**{
        name: getattr(layer.norm, name).numpy()
        for name in ("gamma", "beta", "moving_mean", "moving_variance")
    })  # fmt: skip
    w_y = convolved(layer.W, y)
    return x + (norm.train(w_y) if training else norm.infer(w_y))


def test_by_hand():
    """Two places, 1 and 3, two channels alike; every kernel 1/2, no biases: theta, phi and g are 1
    and 3, the mean of phi times g is (1 + 9) / 2 = 5, y is 5 and 15, W y half of it. A norm that
    divides by 1 and adds nothing leaves 1 + 2.5 and 3 + 7.5."""
    layer = NonLocal(2)
    x = tf.reshape(tf.constant([1.0, 1.0, 3.0, 3.0]), [1, 1, 2, 2])
    layer(x)
    for convolution in (layer.theta, layer.phi, layer.g, layer.W):
        convolution.kernel.assign(tf.fill(convolution.kernel.shape, 0.5))
    layer.norm.gamma.assign(tf.ones(2))
    np.testing.assert_allclose(layer(x)[0, 0], [[3.5, 3.5], [10.5, 10.5]], rtol=1e-4)


@pytest.mark.parametrize("training", [False, True])
def test_equals_the_oracle(training):
    layer, x = block(6), features()
    expected = oracle(layer, x, training)
    np.testing.assert_allclose(layer(tf.constant(x), training=training), expected, atol=1e-11)


def test_a_new_one_changes_nothing():
    layer, x = NonLocal(6), tf.constant(features(), tf.float32)
    for training in (True, False):
        np.testing.assert_array_equal(layer(x, training=training), x)
    assert np.abs(layer.theta.kernel).max() <= 6**-0.5  # PyTorch's bound, 1 / sqrt(inputs)
    assert [tuple(v.shape) for v in layer.theta.weights] == [(1, 1, 6, 3), (3,)]


@pytest.mark.parametrize("training", [False, True])
def test_gradients(training):
    layer, towards = block(4), features(5, (2, 3, 2, 4))
    x = features(3, (2, 3, 2, 4))

    def loss(x):
        return tf.reduce_sum(layer(x, training=training) * towards)

    assert_gradients(loss, [x], tolerance=1e-6)
    assert_variable_gradients(
        lambda: loss(tf.constant(x)), layer.trainable_variables, tolerance=1e-6
    )


def test_images_do_not_see_each_other():
    layer, x = block(6), features()
    alone = [layer(tf.constant(x[n : n + 1])) for n in range(len(x))]
    np.testing.assert_allclose(layer(tf.constant(x)), np.concatenate(alone), atol=1e-12)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_narrow_numbers(policy):
    with dtype_policy(policy):
        layer = NonLocal(6)
    x = tf.cast(features(), policy.removeprefix("mixed_"))
    assert layer(x, training=True).dtype == x.dtype
    assert {weight.dtype for weight in layer.weights} == {tf.float32}
