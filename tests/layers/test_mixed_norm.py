"""The mixture of separate and shared against three batch norms in float64 NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf.layers import GumbelSoftmax, MixedModalityNorm
from cmnas_tf.modality import Rows
from tests.oracles import norms as oracle
from tests.oracles.finite_differences import assert_gradients

CHANNELS = 2
COUNTS = {"visible": 3, "infrared": 4}
ROWS = Rows(COUNTS)
LOGITS = np.array([0.7, -0.4])


def built(dtype: str = "float64") -> tuple[MixedModalityNorm, dict[str, oracle.BatchNorm]]:
    """A layer whose three norms differ, with logits that are not zero, and its oracles."""
    layer = MixedModalityNorm(dtype=dtype, name="layer1_0_bn2")
    layer.build(tf.TensorShape([None, 2, 2, CHANNELS]))
    layer.architecture_logits.assign(LOGITS)
    rng, same = np.random.default_rng(3), {}
    for name, norm in layer.branches().items():
        same[name] = oracle.BatchNorm(
            gamma=1 + 0.3 * rng.standard_normal(CHANNELS),
            beta=rng.standard_normal(CHANNELS),
            moving_mean=rng.standard_normal(CHANNELS),
            moving_variance=np.exp(rng.standard_normal(CHANNELS)),
        )
        for field, value in vars(same[name]).items():
            getattr(norm, field).assign(value)
    return layer, same


def batch() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {
        name: rng.normal(scale, scale, (rows, 2, 2, CHANNELS))
        for scale, (name, rows) in enumerate(COUNTS.items(), start=1)
    }


def assert_same_statistics(layer, expected):
    for name, norm in layer.branches().items():
        for field in ("moving_mean", "moving_variance"):
            np.testing.assert_allclose(
                getattr(norm, field), getattr(expected[name], field), rtol=1e-6
            )


def test_by_hand():
    """One channel, visible 0 and 2, infrared 10 and 14, logits (ln 3, 0): weights 3/4 and 1/4.

    Separate gives -1, 1, -1, 1; shared (x - 6.5) / sqrt 32.75. The first row: -3/4 - 6.5 / 22.89.
    """
    layer = MixedModalityNorm()
    x = tf.reshape(tf.constant([0.0, 2.0, 10.0, 14.0]), [4, 1, 1, 1])
    layer.build(x.shape)
    layer.architecture_logits.assign([np.log(3.0), 0.0])
    shared = np.array([-6.5, -4.5, 3.5, 7.5]) / 32.75**0.5
    expected = 0.75 * np.array([-1, 1, -1, 1]) + 0.25 * shared
    y = layer(x, Rows({"visible": 2, "infrared": 2}), training=True)
    np.testing.assert_allclose(tf.reshape(y, [-1]), expected, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-12), ("float32", 1e-5)])
def test_mixes_the_outputs_of_three_norms(dtype, tolerance, training):
    layer, expected = built(dtype)
    parts = batch()
    x = np.concatenate(list(parts.values()))
    y = layer(tf.constant(x, dtype), ROWS, training=training)

    def normalize(name, rows):
        return expected[name].train(rows) if training else expected[name].infer(rows)

    separate = np.concatenate([normalize(name, part) for name, part in parts.items()])
    w = oracle.softmax(LOGITS)
    np.testing.assert_allclose(y, w[0] * separate + w[1] * normalize("shared", x), atol=tolerance)
    assert_same_statistics(layer, expected)


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-11), ("float32", 1e-5)])
def test_all_gradients_follow_from_the_chain_rule(dtype, tolerance):
    """Input: the sum over the branches. Norm k: its own, times its weight w_k. Logit k:
    w_k (g_k - sum_j w_j g_j) with g_k = sum(dy * branch_k).
    """
    layer, same = built(dtype)
    parts = batch()
    x = np.concatenate(list(parts.values()))
    dy = np.random.default_rng(5).standard_normal(x.shape)
    w = oracle.softmax(LOGITS)
    separate_dy = dict(zip(COUNTS, np.split(w[0] * dy, [COUNTS["visible"]]), strict=True))
    separate = {name: same[name].gradients(parts[name], separate_dy[name]) for name in COUNTS}
    shared = same["shared"].gradients(x, w[1] * dy)
    expected = {"x": np.concatenate([separate[n]["x"] for n in COUNTS]) + shared["x"]}
    for name, gradients in {**separate, "shared": shared}.items():
        expected |= {f"{name}.{field}": gradients[field] for field in ("gamma", "beta")}
    branches = [
        np.concatenate([same[name].train(parts[name]) for name in COUNTS]),
        same["shared"].train(x),
    ]
    g = np.array([(dy * branch).sum() for branch in branches])
    expected["logits"] = w * (g - w @ g)

    inputs = tf.constant(x, dtype)
    sources = {"x": inputs, "logits": layer.architecture_logits}
    for name, norm in layer.branches().items():
        sources |= {f"{name}.gamma": norm.gamma, f"{name}.beta": norm.beta}
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        total = tf.reduce_sum(tf.cast(dy, dtype) * layer(inputs, ROWS, training=True))
    for name, gradient in tape.gradient(total, sources).items():
        largest = np.abs(expected[name]).max()
        np.testing.assert_allclose(
            gradient, expected[name], rtol=0, atol=tolerance * largest, err_msg=name
        )


def test_gradient_of_the_logits_by_finite_differences():
    layer, _ = built()
    x = np.concatenate(list(batch().values()))
    weights = np.random.default_rng(5).standard_normal(x.shape)

    def function(logits, x):
        layer.architecture_logits = logits
        return tf.reduce_sum(weights * layer(x, ROWS, training=True) ** 2)

    assert_gradients(function, [LOGITS, x], tolerance=1e-6)


@pytest.mark.parametrize("modality", ["visible", "infrared"])
def test_a_batch_of_one_modality_leaves_the_other_alone(modality):
    layer, expected = built()
    x = batch()[modality]
    y = layer(tf.constant(x), Rows({modality: len(x)}), training=True)
    w = oracle.softmax(LOGITS)
    mixed = w[0] * expected[modality].train(x) + w[1] * expected["shared"].train(x)
    np.testing.assert_allclose(y, mixed, atol=1e-12)
    assert_same_statistics(layer, expected)


def test_owns_three_norms_and_two_logits():
    """Even mixture at the start; the logits stay float32 under mixed_bfloat16."""
    layer = MixedModalityNorm(dtype="mixed_bfloat16")
    y = layer(tf.ones([2, 1, 1, CHANNELS]), Rows({"visible": 2}))
    assert y.dtype == tf.bfloat16
    assert list(layer.branches()) == ["visible", "infrared", "shared"]
    assert len(layer.weights) == 3 * 4 + 1
    assert len(layer.trainable_weights) == 3 * 2 + 1
    assert {weight.dtype for weight in layer.weights} == {tf.float32}
    np.testing.assert_array_equal(layer.architecture_logits, [0.0, 0.0])


def test_a_relaxation_of_its_own_decides_the_mixture():
    """Each site mixes by ``relaxation(logits, site)`` with its own name as the site."""
    relaxation = GumbelSoftmax(seed=1)
    relaxation.prepare(step=7, fraction=0.5)
    x = tf.reshape(tf.constant([0.0, 2.0, 10.0, 14.0]), [4, 1, 1, 1])
    outputs = {}
    for site in ("stem", "layer1_0_bn1"):
        layer = MixedModalityNorm(relaxation, name=site)
        outputs[site] = layer(x, Rows({"visible": 2, "infrared": 2}), training=True).numpy()
        w = relaxation(layer.architecture_logits, site).numpy()
        separate = layer.visible(x[:2], training=True), layer.infrared(x[2:], training=True)
        shared = layer.shared(x, training=True)
        expected = w[0] * tf.concat(separate, axis=0) + w[1] * shared
        np.testing.assert_allclose(outputs[site], expected, rtol=1e-5)
    assert not np.allclose(outputs["stem"], outputs["layer1_0_bn1"])


@pytest.mark.parametrize("training", [True, False])
def test_without_scale_and_offset(training):
    """It mixes like one whose scales are 1 and offsets 0, as they are at first, and has none."""
    plain, affine = (MixedModalityNorm(affine=a, dtype="float64") for a in (False, True))
    x = np.concatenate(list(batch().values()))
    for layer in (plain, affine):
        layer.build(x.shape)
        layer.architecture_logits.assign(LOGITS)
        for number, norm in enumerate(layer.branches().values()):
            norm.moving_mean.assign_add([number + 1.0] * CHANNELS)
    assert len(affine.weights) == 1 + 3 * 4 and len(plain.weights) == 1 + 3 * 2
    np.testing.assert_allclose(
        plain(tf.constant(x), ROWS, training=training),
        affine(tf.constant(x), ROWS, training=training),
        atol=1e-12,
    )


def test_gradients_with_running_statistics():
    """They stay as they are, so that the output is a fixed affine map of the input."""
    layer, _ = built()
    x = np.concatenate(list(batch().values()))
    weights = np.random.default_rng(5).standard_normal(x.shape)

    def function(logits, x):
        layer.architecture_logits = logits
        return tf.reduce_sum(weights * layer(x, ROWS) ** 2)

    assert_gradients(function, [LOGITS, x], tolerance=1e-6)
