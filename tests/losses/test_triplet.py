"""Batch-hard triplets against hand-worked cases, the authors' numbers and float64."""

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from cmnas_tf.losses import cross_modality_triplet, hard_triplet
from tests.oracles import losses as oracle
from tests.oracles.finite_differences import assert_gradients

POINTS = np.array([[0.0], [1.0], [5.0], [7.0]])
LABELS = np.array([0, 0, 1, 1])


def features(seed: int, p: int, k: int, d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Visible and infrared rows [P * K, D] that overlap in part, and labels in blocks of K."""
    rng = np.random.default_rng(seed)
    visible = rng.standard_normal((p * k, d))
    infrared = 0.5 * visible + rng.standard_normal((p * k, d))
    return visible, infrared, np.repeat(rng.permutation(50)[:p], k)


def test_by_hand():
    """Points 0 and 1 are one person, 5 and 7 another; farthest positive minus nearest negative:

    ===== ======== ======== ==========
    point positive negative difference
    ===== ======== ======== ==========
    0     1        5        -4
    1     1        4        -3
    5     2        4        -2
    7     2        6        -4
    ===== ======== ======== ==========

    With margin 3 only the third is above zero: (0 + 0 + 1 + 0) / 4. A negative margin takes
    log(1 + exp(difference)) instead.
    """
    assert float(hard_triplet(POINTS, POINTS, LABELS, 3.0)) == pytest.approx(0.25, abs=1e-12)
    soft = sum(math.log1p(math.exp(-x)) for x in (4, 3, 2, 4)) / 4
    assert float(hard_triplet(POINTS, POINTS, LABELS, -1.0)) == pytest.approx(soft, abs=1e-12)


def test_across_modalities_by_hand():
    """Visible 0 (a), 4 (b); infrared 1 (a), 6 (b); one image each, margin 4.

    v-v: own distance 0 minus 4 -> 0, 0. i-i: 0 minus 5 -> 0, 0. v-i: 0 has 1 - 6, 4 has 2 - 3 -> 0
    and 3. i-v: 1 has 1 - 3, 6 has 2 - 6 -> 2 and 0. The mean of 0, 0, 1.5 and 1.
    """
    loss = cross_modality_triplet([[0.0], [4.0]], [[1.0], [6.0]], np.array([3, 8]), 4.0)
    assert float(loss) == pytest.approx(2.5 / 4, abs=1e-6)


@pytest.mark.parametrize("case", ["p4k4d32", "p8k2d256", "p16k4d2048"])
@pytest.mark.parametrize("margin, normalized", [(0.4, "no"), (0.3, "yes"), (-1.0, "no")])
def test_the_authors_numbers(goldens, case, margin, normalized):
    p, k, d = map(int, case.replace("p", "").replace("k", " ").replace("d", " ").split())
    visible = goldens.rng(f"{case}/visible").standard_normal((p * k, d)).astype(np.float32)
    noise = goldens.rng(f"{case}/infrared").standard_normal((p * k, d)).astype(np.float32)
    infrared = 0.5 * visible + noise
    labels = np.repeat(goldens.rng(f"{case}/ids").permutation(100)[:p], k)
    if normalized == "yes":
        visible, infrared = oracle.normalize(visible), oracle.normalize(infrared)
    expected = goldens.load("losses.npz")
    modalities = {"v": visible.astype(np.float32), "t": infrared.astype(np.float32)}
    for pair in ("vv", "tt", "vt", "tv"):
        loss = hard_triplet(*(modalities[m] for m in pair), labels, margin)
        golden = expected[f"{case}/triplet_m{margin}_{normalized}/{pair}"]
        assert float(loss) == pytest.approx(float(golden), rel=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    p=st.integers(2, 5),
    k=st.integers(1, 4),
    d=st.integers(1, 16),
    margin=st.sampled_from([-1.0, 0.0, 0.3, 2.0]),
    shuffled=st.booleans(),
)
def test_equals_the_oracle(seed, p, k, d, margin, shuffled):
    """Any P, K, D; the order of the rows does not matter, only that both modalities share it."""
    visible, infrared, labels = features(seed, p, k, d)
    if shuffled:
        order = np.random.default_rng(seed).permutation(len(labels))
        visible, infrared, labels = visible[order], infrared[order], labels[order]
    pairs = [(visible, visible), (infrared, infrared), (visible, infrared), (infrared, visible)]
    each = [oracle.hard_triplet(a, c, labels, margin) for a, c in pairs]
    for (a, c), expected in zip(pairs, each, strict=True):
        # A row's distance to itself counts as 1e-6, which keeps its gradient finite.
        assert float(hard_triplet(a, c, labels, margin)) == pytest.approx(expected, abs=2e-6)
    together = cross_modality_triplet(visible, infrared, labels, margin)
    assert float(together) == pytest.approx(np.mean(each), abs=2e-6)


@pytest.mark.parametrize("margin", [0.4, -1.0])
def test_gradient(margin):
    visible, infrared, labels = features(seed=3, p=3, k=2, d=5)
    assert_gradients(lambda v, i: cross_modality_triplet(v, i, labels, margin), [visible, infrared])


def test_coinciding_rows_have_a_finite_gradient():
    rows = tf.Variable(np.tile([[1.0, 2.0]], (4, 1)), dtype=tf.float32)
    with tf.GradientTape() as tape:
        loss = hard_triplet(rows, rows, LABELS, 0.4)
    assert float(loss) == pytest.approx(0.4, abs=1e-6)
    np.testing.assert_array_equal(tape.gradient(loss, rows), np.zeros((4, 2)))


def test_large_features_that_nearly_coincide():
    """Two images of a person 0.045 apart and another person 1 away, all of norm 4,500.

    Every feature of the four rows is 100; 0.001 is added for the second row, 1 / sqrt(2048) for the
    rows of the other person. So the positive distance is 0.001 sqrt(2048) = 0.045, the negative one
    1 (0.955 from the second row): with margin 1 the first person's losses are 0.045 and 0.090.
    Expanding |a - b|^2 in float32 knows it to 1e-7 |a|^2 = 2 only: TensorFlow Addons 0.23 gives 1.0
    for this loss.
    """
    offsets = np.array([0.0, 0.001, 2048**-0.5, 2048**-0.5])
    rows = np.repeat((100 + offsets)[:, None], 2048, axis=1).astype(np.float32)
    expected = oracle.hard_triplet(rows, rows, LABELS, 1.0)
    assert expected == pytest.approx((0.045 + 0.090 + 0.045 + 0.045) / 4, abs=1e-3)
    assert float(hard_triplet(rows, rows, LABELS, 1.0)) == pytest.approx(expected, abs=2e-6)


def test_the_farthest_positive_is_found_when_persons_are_far_apart():
    """The positive must be the other image of the person, not the row itself.

    Three persons some 900 apart, their two images 0.06: |a|^2 + |b|^2 - 2ab has terms of 1e6, which
    float32 knows to 0.1, and the squared distances of interest are 0 and 0.004. The gradient shows
    which was taken: it has length 1 along the difference from the other image.
    """
    rng = np.random.default_rng(1)
    centres = np.repeat([-10.0, 10.0, 30.0], 2)[:, None]
    rows = (centres + 0.001 * rng.standard_normal((6, 2048))).astype(np.float32)
    anchors = tf.Variable(rows)
    with tf.GradientTape() as tape:
        loss = hard_triplet(anchors, tf.constant(rows), np.repeat([0, 1, 2], 2), margin=3000.0)
    gradient = 6 * tape.gradient(loss, anchors).numpy().astype(np.float64)
    differences = rows.astype(np.float64) - rows[[1, 0, 3, 2, 5, 4]]
    directions = oracle.normalize(differences)
    np.testing.assert_allclose((gradient * directions).sum(axis=1), 1.0, atol=0.1)


def test_tensorflow_addons_agrees():
    """Where it should: distinct rows of ordinary size, two images and more of each identity."""
    addons = pytest.importorskip("tensorflow_addons")
    visible, _, labels = features(seed=5, p=4, k=3, d=32)
    visible = visible.astype(np.float32)
    for margin, soft in ((0.4, False), (-1.0, True)):
        theirs = addons.losses.triplet_hard_loss(
            labels, visible, margin=margin, soft=soft, distance_metric="L2"
        )
        ours = hard_triplet(visible, visible, labels, margin)
        assert float(ours) == pytest.approx(float(theirs), rel=1e-5)


def test_bfloat16_features_are_compared_in_float32():
    visible, infrared, labels = features(seed=6, p=3, k=2, d=8)
    rounded = [tf.cast(x, tf.bfloat16) for x in (visible, infrared)]
    loss = cross_modality_triplet(*rounded, labels, 0.4)
    assert loss.dtype == tf.float32
    v, i = (x.numpy().astype(np.float64) for x in rounded)
    expected = [oracle.hard_triplet(a, c, labels, 0.4) for a, c in [(v, v), (i, i), (v, i), (i, v)]]
    assert float(loss) == pytest.approx(np.mean(expected), rel=1e-5)
