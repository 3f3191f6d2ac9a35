"""Hetero-center triplet: by hand, against NumPy, its gradient, and in an objective."""

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf.losses import LOSSES, LossBatch, Objective
from cmnas_tf.losses.hetero_center import HeteroCenterTriplet
from cmnas_tf.models import Embeddings
from tests.oracles.finite_differences import assert_gradients

IMAGES = 2


def batch(visible, infrared, labels):
    nothing = np.zeros((visible.shape[0], 1))
    outputs = {
        "visible": Embeddings(visible, nothing, nothing),
        "infrared": Embeddings(infrared, nothing, nothing),
    }
    return LossBatch(outputs, tf.constant(labels), IMAGES)


def oracle(visible, infrared, margin):
    """The paper's equation, center by center, as a mean."""
    visible, infrared = (
        x.reshape(-1, IMAGES, x.shape[-1]).mean(axis=1) for x in (visible, infrared)
    )
    losses = []
    for own, other in ((visible, infrared), (infrared, visible)):
        for i in range(len(own)):
            positive = np.linalg.norm(own[i] - other[i])
            others = [x[j] for x in (own, other) for j in range(len(own)) if j != i]
            negative = min(np.linalg.norm(own[i] - x) for x in others)
            losses.append(max(0.0, margin + positive - negative))
    return np.mean(losses)


def test_by_hand():
    """Centers on a line. Person 0: 1 (visible) and 2 (infrared); person 1: 4 and 4.5.

    Distances to the own other center: 1, 1, 0.5, 0.5; to the nearest of the other person: 3, 2, 2,
    2.5. With margin 1.5 that leaves max(0, -0.5), 0.5, max(0, 0), max(0, -0.5): 0.125 on average.
    """
    visible = np.array([[0.0], [2.0], [3.0], [5.0]])
    infrared = np.array([[2.0], [2.0], [4.0], [5.0]])
    loss = HeteroCenterTriplet(hetero_center_margin=1.5)(batch(visible, infrared, [7, 7, 3, 3]))
    assert float(loss) == pytest.approx(0.125)


@pytest.mark.parametrize("margin", [0.0, 0.3, 2.0])
def test_against_the_equation(margin):
    random = np.random.default_rng(3)
    visible, infrared = random.standard_normal((2, 8, 5))
    labels = np.repeat([4, 0, 9, 2], IMAGES)
    found = HeteroCenterTriplet(hetero_center_margin=margin)(batch(visible, infrared, labels))
    assert float(found) == pytest.approx(oracle(visible, infrared, margin), abs=1e-12)


def test_its_gradient():
    random = np.random.default_rng(5)
    visible, infrared = random.standard_normal((2, 6, 4))
    labels = np.repeat([0, 1, 2], IMAGES)
    loss = HeteroCenterTriplet(hetero_center_margin=1.0)
    assert_gradients(lambda v, i: loss(batch(v, i, labels)), [visible, infrared])


def test_its_registration_makes_it_part_of_every_objective():
    random = np.random.default_rng(6)
    outputs = batch(*random.standard_normal((2, 6, 4)), np.repeat([0, 1, 2], IMAGES)).outputs
    weights = {**dict.fromkeys(LOSSES, 0.0), "hetero_center": 2.0}
    terms = Objective(**weights, hetero_center_margin=1.0)(
        outputs, tf.constant(np.repeat([0, 1, 2], IMAGES)), IMAGES
    )
    assert float(terms["total"]) == 2.0 * float(terms["hetero_center"]) > 0
