"""C3MMD and its halves against hand-worked cases, the authors' numbers and float64."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from cmnas_tf.losses import c3mmd, class_mmd, correlation_consistency
from tests.oracles import losses as oracle
from tests.oracles.finite_differences import assert_gradients


def embeddings(seed: int, rows: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    visible = rng.standard_normal((rows, d))
    return visible, 0.5 * visible + rng.standard_normal((rows, d))


def test_correlation_by_hand():
    """Visible (1, 0), (0, 3): Gram diag(1, 9), normalised the identity. Infrared (2, 0) twice:
    every Gram entry 4, rows normalised: every entry 1 / sqrt 2. The four squared differences:
    (1 - 1/sqrt 2)^2, 1/2, 1/2, (1 - 1/sqrt 2)^2; their mean is 1 - 1/sqrt 2.
    """
    visible = np.array([[1.0, 0.0], [0.0, 3.0]])
    infrared = np.array([[2.0, 0.0], [2.0, 0.0]])
    loss = correlation_consistency(visible, infrared)
    assert float(loss) == pytest.approx(1 - 0.5**0.5, abs=1e-12)


def test_class_mmd_by_hand():
    """Two persons, two images. First: visible (1, 0), (0, 2), normalised e1, e2; infrared (3, 0)
    twice, e1. Mean kernels: visible (1 + 0 + 0 + 1) / 4, infrared 1, across (1 + 1 + 0 + 0) / 4:
    1/2 + 1 - 1 = 1/2. Second: the same rows in both modalities, up to length: 0. Mean 1/4.
    """
    visible = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0], [0.0, 1.0]])
    infrared = np.array([[3.0, 0.0], [3.0, 0.0], [5.0, 5.0], [0.0, 0.1]])
    assert float(class_mmd(visible, infrared, 2)) == pytest.approx(0.25, abs=1e-12)


@pytest.mark.parametrize("p, k, d", [(4, 4, 32), (8, 2, 256), (16, 4, 2048)])
@pytest.mark.parametrize("name", ["correlation_consistency", "cmmd"])
def test_the_authors_numbers(goldens, p, k, d, name):
    """Losses and their gradients. A gradient's entries within 1e-5 of its largest one."""
    case = f"p{p}k{k}d{d}"
    visible = goldens.rng(f"{case}/visible").standard_normal((p * k, d)).astype(np.float32)
    noise = goldens.rng(f"{case}/infrared").standard_normal((p * k, d)).astype(np.float32)
    sides = {"visible": tf.constant(visible), "infrared": tf.constant(0.5 * visible + noise)}
    with tf.GradientTape() as tape:
        tape.watch(sides)
        images = {} if name == "correlation_consistency" else {"images_per_identity": k}
        loss = (class_mmd if images else correlation_consistency)(*sides.values(), **images)
    gradients = tape.gradient(loss, sides)

    golden = goldens.load("losses.npz")
    expected = {key: golden[key] for key in golden.files if key.startswith(f"{case}/{name}/")}
    assert len(expected) == 4
    assert float(loss) == pytest.approx(float(expected[f"{case}/{name}/loss"]), rel=1e-5)
    for side, gradient in gradients.items():
        norm = float(expected[f"{case}/{name}/grad_{side}_l2"])
        assert np.linalg.norm(gradient) == pytest.approx(norm, rel=1e-5)
    head = expected[f"{case}/{name}/grad_visible_head"]
    largest = np.abs(gradients["visible"]).max()
    actual = gradients["visible"].numpy().ravel()[: head.size]
    np.testing.assert_allclose(actual, head, rtol=0, atol=1e-5 * largest)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    p=st.integers(1, 5),
    k=st.integers(1, 4),
    d=st.integers(2, 16),
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
)
def test_equals_the_oracle(seed, p, k, d, scale):
    """Any P, K, D, and neither half depends on the embeddings' common length."""
    visible, infrared = embeddings(seed, p * k, d)
    correlation = float(correlation_consistency(scale * visible, infrared))
    assert correlation == pytest.approx(
        oracle.correlation_consistency(visible, infrared), abs=1e-12
    )
    mmd = float(class_mmd(scale * visible, infrared, k))
    assert mmd == pytest.approx(oracle.class_mmd(visible, infrared, k), abs=1e-12)


@pytest.mark.parametrize(
    "loss",
    [correlation_consistency, lambda v, i: class_mmd(v, i, 3), lambda v, i: c3mmd(v, i, 3)],
    ids=["correlation", "class_mmd", "c3mmd"],
)
def test_gradient(loss):
    assert_gradients(loss, embeddings(seed=1, rows=6, d=4))


@pytest.mark.parametrize(
    "loss",
    [correlation_consistency, lambda v, i: class_mmd(v, i, 2)],
    ids=["correlation", "class_mmd"],
)
def test_equal_and_zero_rows_have_a_finite_gradient(loss):
    rows = tf.constant([[1.0, 2.0], [1.0, 2.0], [0.0, 0.0], [0.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(rows)
        value = loss(rows, 2.0 * rows)
    assert float(value) == pytest.approx(0.0, abs=1e-6)
    assert np.isfinite(tape.gradient(value, rows)).all()


@pytest.mark.parametrize("images", [0, 4, 5])
def test_images_per_identity_must_divide_the_rows(images):
    visible, infrared = embeddings(seed=1, rows=6, d=4)
    with pytest.raises(ValueError, match=rf"images_per_identity={images}, rows=6"):
        class_mmd(visible, infrared, images)


def test_c3mmd_is_one_graph_of_the_weighted_sum():
    visible, infrared = (x.astype(np.float32) for x in embeddings(seed=2, rows=6, d=8))
    mmd = oracle.class_mmd(visible, infrared, 2)
    correlation = oracle.correlation_consistency(visible, infrared)
    default = float(c3mmd(visible, infrared, 2))
    assert default == pytest.approx(0.05 * mmd + 5.0 * correlation, rel=1e-5)
    weighed = float(c3mmd(visible, infrared, 2, mmd_weight=3.0, correlation_weight=0.5))
    assert weighed == pytest.approx(3.0 * mmd + 0.5 * correlation, rel=1e-5)
    graph = c3mmd.get_concrete_function(tf.TensorSpec([6, 8]), tf.TensorSpec([6, 8]), 2)
    assert float(graph(tf.constant(visible), tf.constant(infrared))) == default


@pytest.mark.parametrize("loss", ["correlation", "class_mmd"])
def test_bfloat16_embeddings_are_compared_in_float32(loss):
    rounded = [tf.cast(x, tf.bfloat16) for x in embeddings(seed=3, rows=8, d=16)]
    v, i = (x.numpy().astype(np.float64) for x in rounded)
    if loss == "correlation":
        value, expected = correlation_consistency(*rounded), oracle.correlation_consistency(v, i)
    else:
        value, expected = class_mmd(*rounded, 4), oracle.class_mmd(v, i, 4)
    assert value.dtype == tf.float32
    assert float(value) == pytest.approx(expected, rel=1e-5)
