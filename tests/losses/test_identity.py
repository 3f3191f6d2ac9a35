"""Cross entropy against a hand-worked case, the authors' numbers and float64."""

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from cmnas_tf.losses import cross_entropy
from tests.oracles import losses as oracle
from tests.oracles.finite_differences import assert_gradients


def test_by_hand():
    """Logits (0, ln 3): probabilities 1/4 and 3/4. Label 1: -ln(3/4). Smoothed by 0.2 the target is
    (0.1, 0.9).
    """
    logits, labels = np.array([[0.0, math.log(3.0)]]), np.array([1])
    assert float(cross_entropy(logits, labels)) == pytest.approx(-math.log(0.75), abs=1e-12)
    smoothed = -0.1 * math.log(0.25) - 0.9 * math.log(0.75)
    assert float(cross_entropy(logits, labels, 0.2)) == pytest.approx(smoothed, abs=1e-12)


@pytest.mark.parametrize("case, rows", [("p4k4d32", 16), ("p8k2d256", 16), ("p16k4d2048", 64)])
@pytest.mark.parametrize("name, smoothing", [("cross_entropy", 0.0), ("label_smooth_0.1", 0.1)])
def test_the_authors_numbers(goldens, case, rows, name, smoothing):
    logits = goldens.rng(f"{case}/logits").standard_normal((rows, 11)).astype(np.float32)
    labels = goldens.rng(f"{case}/targets").randint(0, 11, rows)
    expected = float(goldens.load("losses.npz")[f"{case}/{name}"])
    assert float(cross_entropy(logits, labels, smoothing)) == pytest.approx(expected, rel=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 8),
    classes=st.integers(2, 9),
    smoothing=st.floats(0, 0.999),
)
def test_equals_the_oracle(seed, rows, classes, smoothing):
    rng = np.random.default_rng(seed)
    logits, labels = 3 * rng.standard_normal((rows, classes)), rng.integers(0, classes, rows)
    expected = oracle.cross_entropy(logits, labels, smoothing)
    assert float(cross_entropy(logits, labels, smoothing)) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_gradient(smoothing):
    logits = np.random.default_rng(1).standard_normal((4, 5))
    assert_gradients(lambda x: cross_entropy(x, np.array([0, 4, 2, 2]), smoothing), [logits])


def test_logits_far_apart_stay_finite():
    """The right class is 1,000 behind: the loss is 1,000, not infinite."""
    assert float(cross_entropy([[1000.0, 0.0]], np.array([1]))) == pytest.approx(1000.0)


def test_bfloat16_logits_are_compared_in_float32():
    logits = tf.cast(np.random.default_rng(2).standard_normal((6, 5)), tf.bfloat16)
    labels = np.array([0, 1, 2, 3, 4, 0])
    loss = cross_entropy(logits, labels, 0.1)
    assert loss.dtype == tf.float32
    expected = oracle.cross_entropy(logits.numpy().astype(np.float64), labels, 0.1)
    assert float(loss) == pytest.approx(expected, rel=1e-5)
