"""Separate and shared norms against one or two batch norms in float64 NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf.layers import ModalityNorm
from cmnas_tf.modality import Rows
from tests.oracles import norms as oracle

CHANNELS = 3
VISIBLE, INFRARED = 3, 5  # rows: unequal on purpose


def batch(rows: int) -> np.ndarray:
    return 1.0 + 2.0 * np.random.default_rng(rows).standard_normal((rows, 2, 2, CHANNELS))


def randomize(branches) -> dict[str, oracle.BatchNorm]:
    """Gives each branch other parameters and statistics; the oracles that have the same."""
    rng, same = np.random.default_rng(3), {}
    for name, norm in branches.items():
        same[name] = oracle.BatchNorm(
            gamma=1 + 0.3 * rng.standard_normal(CHANNELS),
            beta=rng.standard_normal(CHANNELS),
            moving_mean=rng.standard_normal(CHANNELS),
            moving_variance=np.exp(rng.standard_normal(CHANNELS)),
        )
        for field, value in vars(same[name]).items():
            getattr(norm, field).assign(value)
    return same


def built(choice: str) -> tuple[ModalityNorm, dict[str, oracle.BatchNorm]]:
    layer = ModalityNorm(choice, dtype="float64")
    layer.build(tf.TensorShape([None, 2, 2, CHANNELS]))
    return layer, randomize(layer.branches())


def assert_same_statistics(layer, expected):
    for name, norm in layer.branches().items():
        for field in ("moving_mean", "moving_variance"):
            np.testing.assert_allclose(
                getattr(norm, field), getattr(expected[name], field), rtol=1e-12
            )


def test_by_hand():
    """One channel. Visible rows 0, 2: mean 1, deviation 1. Infrared 10, 14: mean 12, deviation 2.

    Separate: -1, 1, -1, 1. Shared: mean 6.5, variance (42.25 + 20.25 + 12.25 + 56.25) / 4 = 32.75.
    (Up to the epsilon of 1e-5.)
    """
    x, rows = tf.constant([[0.0], [2.0], [10.0], [14.0]]), Rows({"visible": 2, "infrared": 2})
    separate = ModalityNorm("separate")(x, rows, training=True)
    np.testing.assert_allclose(separate, [[-1], [1], [-1], [1]], atol=1e-5)
    shared = ModalityNorm("shared")(x, rows, training=True)
    expected = np.array([[-6.5], [-4.5], [3.5], [7.5]]) / 32.75**0.5
    np.testing.assert_allclose(shared, expected, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_separate_normalises_each_modality_with_its_own(training):
    layer, expected = built("separate")
    v, i = batch(VISIBLE), batch(INFRARED)
    rows = Rows({"visible": VISIBLE, "infrared": INFRARED})
    y = layer(tf.concat([v, i], axis=0), rows, training=training)
    visible, infrared = expected["visible"], expected["infrared"]
    parts = (
        [visible.train(v), infrared.train(i)] if training else [visible.infer(v), infrared.infer(i)]
    )
    np.testing.assert_allclose(y, np.concatenate(parts), atol=1e-12)
    assert_same_statistics(layer, expected)


@pytest.mark.parametrize("training", [True, False])
def test_shared_normalises_all_rows_with_one(training):
    layer, expected = built("shared")
    x = np.concatenate([batch(VISIBLE), batch(INFRARED)])
    rows = Rows({"visible": VISIBLE, "infrared": INFRARED})
    y = layer(tf.constant(x), rows, training=training)
    norm = expected["shared"]
    np.testing.assert_allclose(y, norm.train(x) if training else norm.infer(x), atol=1e-12)
    assert_same_statistics(layer, expected)


@pytest.mark.parametrize("modality", ["visible", "infrared"])
@pytest.mark.parametrize("choice", ["separate", "shared"])
def test_a_batch_of_one_modality_moves_its_own_statistics_only(choice, modality):
    layer, expected = built(choice)
    x = batch(4)
    y = layer(tf.constant(x), Rows({modality: 4}), training=True)
    moved = expected["shared" if choice == "shared" else modality]
    np.testing.assert_allclose(y, moved.train(x), atol=1e-12)
    assert_same_statistics(layer, expected)


@pytest.mark.parametrize("choice", ["separate", "shared"])
def test_row_counts_may_be_known_at_run_time_only(choice):
    layer, expected = built(choice)

    @tf.function(input_signature=[tf.TensorSpec([None, 2, 2, CHANNELS], tf.float64)] * 2)
    def normalize(visible, infrared):
        rows = Rows({"visible": tf.shape(visible)[0], "infrared": tf.shape(infrared)[0]})
        return layer(tf.concat([visible, infrared], axis=0), rows, training=True)

    v, i = batch(VISIBLE), batch(INFRARED)
    y = normalize(v, i)
    both = np.concatenate([v, i])
    if choice == "shared":
        exact = expected["shared"].train(both)
    else:
        exact = np.concatenate([expected["visible"].train(v), expected["infrared"].train(i)])
    np.testing.assert_allclose(y, exact, atol=1e-12)
    assert_same_statistics(layer, expected)


@pytest.mark.parametrize(
    "choice, branches", [("shared", ["shared"]), ("separate", ["visible", "infrared"])]
)
def test_owns_the_norms_it_uses_and_no_other(choice, branches):
    """Four vectors a norm, two of them trained, also before the other modality was ever seen."""
    layer = ModalityNorm(choice)
    layer(tf.zeros([2, CHANNELS]), Rows({"visible": 2}))
    assert list(layer.branches()) == branches
    assert len(layer.weights) == 4 * len(branches)
    assert len(layer.trainable_weights) == 2 * len(branches)


def test_another_choice_is_refused():
    with pytest.raises(ValueError, match=r"'separate', 'shared'.*Received: 'sharable'"):
        ModalityNorm("sharable")


@pytest.mark.parametrize("choice, count", [("shared", 1), ("separate", 2)])
def test_without_scale_and_offset(choice, count):
    """It equals one whose scales are 1 and offsets 0, as they are at first, and has none."""
    plain, affine = (ModalityNorm(choice, affine=a, dtype="float64") for a in (False, True))
    x = tf.constant(np.concatenate([batch(VISIBLE), batch(INFRARED)]))
    rows = Rows({"visible": VISIBLE, "infrared": INFRARED})
    for training in (True, False):
        expected = affine(x, rows, training=training)
        np.testing.assert_allclose(plain(x, rows, training=training), expected, atol=1e-12)
    assert len(plain.weights) == 2 * count and plain.trainable_weights == []
