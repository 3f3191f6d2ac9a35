"""Weighted regularised triplet and center loss: by hand, against NumPy, their gradients."""

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf.losses import LossBatch, Objective
from cmnas_tf.losses.baselines import Center, WeightedTriplet
from cmnas_tf.losses.formulas import weighted_triplet
from cmnas_tf.models import Embeddings
from tests.oracles import losses as oracle
from tests.oracles.finite_differences import assert_gradients

IMAGES = 2
LABELS = np.repeat([4, 0, 9], IMAGES)


def batch(*features, labels=LABELS):
    nothing = np.zeros((len(labels), 1))
    parts = [Embeddings(rows, nothing, nothing) for rows in features]
    outputs = dict(zip(("visible", "infrared"), parts, strict=False))
    return LossBatch(outputs, tf.constant(labels), IMAGES)


def features(modalities=2, seed=3, scale=1.0):
    return scale * np.random.default_rng(seed).standard_normal((modalities, len(LABELS), 5))


def test_weighted_triplet_by_hand():
    """Points 0, ln 2 of one person and 10 of another.

    The first's distances to its own are 0 and ln 2, with weights 1/3 and 2/3: 2/3 ln 2. So are the
    second's. The third has itself alone. To others: 10, 10 - ln 2; of the third 10 and 10 - ln 2
    with weights 1/3 and 2/3.
    """
    ln2 = np.log(2.0)
    points = np.array([[0.0], [ln2], [10.0]])
    differences = [
        2 / 3 * ln2 - 10,
        2 / 3 * ln2 - (10 - ln2),
        0 - (10 / 3 + 2 / 3 * (10 - ln2)),
    ]
    expected = np.mean(np.log1p(np.exp(differences)))
    assert float(weighted_triplet(points, tf.constant([5, 5, 2]))) == pytest.approx(expected, 1e-6)


@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
def test_weighted_triplet_against_the_equation(scale):
    """At distances of 100, too, where exp(-100) is nothing beside 1e-6."""
    rows = features(scale=scale)
    found = WeightedTriplet()(batch(*rows))
    expected = oracle.weighted_triplet(np.concatenate(rows), np.tile(LABELS, 2))
    assert float(found) == pytest.approx(expected, abs=2e-6)  # a row to itself: 1e-6


def test_weighted_triplet_of_one_modality():
    (rows,) = features(1)
    assert float(WeightedTriplet()(batch(rows))) == pytest.approx(
        oracle.weighted_triplet(rows, LABELS), abs=2e-6
    )


def test_weighted_triplet_of_equal_rows_has_a_finite_gradient():
    rows = tf.Variable(tf.repeat(tf.constant(features(1)[0], tf.float32)[::2], 2, axis=0))
    with tf.GradientTape() as tape:
        loss = weighted_triplet(rows, tf.constant(LABELS))
    gradient = tape.gradient(loss, rows)
    assert loss.dtype == tf.float32 and np.isfinite(gradient).all() and np.abs(gradient).max() > 0


def test_center_by_hand():
    """One person's rows are 0, 2 and 4, 6: the center 3, the squares 9, 1, 1, 9. The other's lie
    where their center does. Half of the mean over eight rows: 20 / 16."""
    visible = np.array([[0.0], [2.0], [7.0], [7.0]])
    infrared = np.array([[4.0], [6.0], [7.0], [7.0]])
    loss = Center()(batch(visible, infrared, labels=np.array([3, 3, 1, 1])))
    assert float(loss) == pytest.approx(20 / 16)


@pytest.mark.parametrize("modalities", [1, 2])
def test_center_against_the_equation(modalities):
    rows = features(modalities)
    expected = oracle.center(np.concatenate(rows), np.tile(LABELS, modalities))
    assert float(Center()(batch(*rows))) == pytest.approx(expected, abs=1e-12)


def test_centers_that_are_means_have_the_gradient_of_the_paper():
    """(x - c) / N: what the center itself adds cancels out."""
    rows = tf.constant(features(1)[0])
    with tf.GradientTape() as tape:
        tape.watch(rows)
        loss = Center()(batch(rows))
    centers = rows.numpy().reshape(-1, IMAGES, 5).mean(axis=1).repeat(IMAGES, axis=0)
    expected = (rows.numpy() - centers) / len(LABELS)
    np.testing.assert_allclose(tape.gradient(loss, rows), expected, atol=1e-12)


@pytest.mark.parametrize("loss", [WeightedTriplet(), Center()], ids=["weighted", "center"])
def test_gradients(loss):
    assert_gradients(lambda v, i: loss(batch(v, i)), list(features()))


def test_they_are_off_and_can_be_given_a_weight():
    assert Objective().weights["weighted_triplet"] == Objective().weights["center"] == 0.0
    found = Objective(weighted_triplet=1.0, center=0.5, triplet=0.0, correlation=0.0, mmd=0.0)
    assert set(found.losses) == {"cross_entropy", "weighted_triplet", "center"}
