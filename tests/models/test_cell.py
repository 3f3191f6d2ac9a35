"""Cells and the mixtures of a search against float64 NumPy and finite differences."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from cmnas_tf.cell_plan import Place
from cmnas_tf.genotype import EDGES, NODES, OPERATIONS, sources_of
from cmnas_tf.layers import ModalityNorm, Softmax
from cmnas_tf.modality import Rows
from cmnas_tf.models import Head, ReidNetwork
from cmnas_tf.models.cell import Cell, MixedOperation, operation
from tests.models.genotypes import EVERYTHING
from tests.oracles.cells import CellForward
from tests.oracles.finite_differences import assert_variable_gradients
from tests.oracles.norms import softmax
from tests.oracles.policies import dtype_policy

CANDIDATES = {node: dict.fromkeys(sources_of(node), OPERATIONS) for node in NODES}
PLACES = {
    "normal": Place(1, 0, "normal", False),
    "normal after a reduction": Place(2, 1, "normal", True),
    "reduction": Place(2, 0, "reduction", False),
    "reduction after a reduction": Place(3, 0, "reduction", True),
}
ROWS = Rows({"visible": 2, "infrared": 2})

everywhere = pytest.mark.parametrize("place", PLACES.values(), ids=list(PLACES))


def randomized(layer: keras.layers.Layer, *inputs, **arguments) -> dict[str, np.ndarray]:
    """Builds a layer, moves its weights, and gives them by path below ``op``."""
    layer(*(tf.zeros(x.shape, tf.float64) for x in inputs), rows=ROWS, **arguments)
    rng = np.random.default_rng(2)
    for weight in layer.weights:
        weight.assign(weight + 0.3 * rng.random(weight.shape))
    paths = ReidNetwork(layer, Head(1)).get_weight_paths()
    return {path.replace("backbone", "op", 1): w.numpy() for path, w in paths.items()}


def mixtures(seed: int = 4) -> tuple[np.ndarray, dict[tuple[str, str], np.ndarray]]:
    """Random logits [14, 7], and the weights they mean by edge."""
    logits = np.random.default_rng(seed).standard_normal((14, 7))
    return logits, {edge: softmax(row) for edge, row in zip(EDGES, logits, strict=True)}


def maps(place: Place, size: tuple[int, int] = (7, 4)) -> tuple[np.ndarray, np.ndarray]:
    """Outputs of the cells before; the first is larger when a reduction lies between."""
    rng, (height, width) = np.random.default_rng(1), size
    twice = (2 * height - 1, 2 * width) if place.after_reduction else size
    return rng.standard_normal((4, *twice, 6)), rng.standard_normal((4, height, width, 8))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_mixture_is_the_weighted_sum_of_its_operations(stride, training):
    """``none`` takes its share: the weights of the others do not add up to 1."""
    with dtype_policy("float64"):
        mixed = MixedOperation(
            OPERATIONS, 3, stride, lambda _, affine=True: ModalityNorm("shared", affine=False)
        )
    x = np.random.default_rng(1).standard_normal((4, 7, 5, 3))
    share = softmax(np.random.default_rng(4).standard_normal(7))
    weights = randomized(mixed, x, weights=tf.constant(share))
    y = mixed(tf.constant(x), tf.constant(share), ROWS, training=training)
    named = dict(zip(OPERATIONS, share, strict=True))
    expected = CellForward(weights, 2, training).mixture(named, x, "op", stride)
    np.testing.assert_allclose(y, expected, atol=1e-9 * np.abs(expected).max())


def test_gradient_of_the_logits_and_weights_of_a_mixture():
    """Seven logits and every weight of the six operations, by central differences."""
    with dtype_policy("float64"):
        mixed = MixedOperation(
            OPERATIONS, 2, 2, lambda _, affine=True: ModalityNorm("shared", affine=False)
        )
    x = np.random.default_rng(1).standard_normal((4, 5, 4, 2))
    logits = tf.Variable(np.random.default_rng(4).standard_normal(7))
    randomized(mixed, x, weights=tf.nn.softmax(logits))
    weights = np.random.default_rng(5).standard_normal((4, 3, 2, 2))

    def loss():
        y = mixed(tf.constant(x), tf.nn.softmax(logits), ROWS, training=True)
        return tf.reduce_sum(weights * y)

    assert_variable_gradients(loss, [logits, *mixed.trainable_weights], tolerance=1e-6)


@everywhere
@pytest.mark.parametrize("training", [True, False])
def test_a_derived_cell_equals_the_oracle(place, training):
    """With norms apart for the modalities at every second site."""
    made = []

    def make_norm(site, affine=True):
        made.append(site)
        return ModalityNorm("separate" if len(made) % 2 else "shared", affine=affine)

    edges = EVERYTHING.cell(place.kind)
    with dtype_policy("float64"):
        cell = Cell(place, edges, 4, operation, make_norm)
    before, last = maps(place)
    weights = randomized(cell, before, last)
    y = cell(tf.constant(before), tf.constant(last), ROWS, training=training)
    forward = CellForward(weights, 2, training)
    expected = forward.cell(before, last, "op", edges, place.kind == "reduction")
    assert y.shape == expected.shape == (4, *((4, 2) if place.kind == "reduction" else (7, 4)), 16)
    np.testing.assert_allclose(y, expected, atol=1e-9 * np.abs(expected).max())
    assert sorted(cell.norms()) == sorted(made)


def searching(place: Place) -> Cell:
    with dtype_policy("float64"):
        return Cell(
            place,
            CANDIDATES,
            3,
            MixedOperation,
            lambda _, affine=True: ModalityNorm("shared", affine=False),
        )


@everywhere
def test_a_searching_cell_equals_the_oracle(place):
    """All 14 edges with all 7 operations, by running statistics and by those of the batch."""
    cell, (before, last) = searching(place), maps(place)
    logits, shares = mixtures()
    given = dict(zip(EDGES, tf.unstack(Softmax()(tf.constant(logits), "normal")), strict=True))
    weights = randomized(cell, before, last, weights=given)
    edges = {
        node: {
            source: dict(zip(OPERATIONS, shares[node, source], strict=True))
            for source in sources_of(node)
        }
        for node in NODES
    }
    for training in (False, True):
        y = cell(tf.constant(before), tf.constant(last), ROWS, given, training=training)
        forward = CellForward(weights, 2, training)
        expected = forward.cell(before, last, "op", edges, place.kind == "reduction")
        np.testing.assert_allclose(y, expected, atol=1e-9 * np.abs(expected).max())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["normal", "reduction"])
def test_gradient_of_every_logit_of_a_searching_cell(kind):
    """14 x 7 logits by central differences; adding a number to all of an edge changes nothing."""
    cell, (before, last) = searching(PLACES[kind]), maps(PLACES[kind], (7, 3))
    logits = tf.Variable(mixtures()[0])

    def given():
        return dict(zip(EDGES, tf.unstack(Softmax()(logits, kind)), strict=True))

    randomized(cell, before, last, weights=given())
    before, last = tf.constant(before), tf.constant(last)
    weights = np.random.default_rng(5).standard_normal(cell(before, last, ROWS, given()).shape)

    def loss():
        return tf.reduce_sum(weights * cell(before, last, ROWS, given(), training=True))

    assert_variable_gradients(loss, [logits], tolerance=1e-6)
    with tf.GradientTape() as tape:
        value = loss()
    gradient = tape.gradient(value, logits).numpy()
    assert (np.abs(gradient) > 1e-6).all()
    np.testing.assert_allclose(gradient.sum(axis=1), 0.0, atol=1e-9 * np.abs(gradient).max())
