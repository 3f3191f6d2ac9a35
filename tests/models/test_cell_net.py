"""Networks of cells, derived and searching, against float64 NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf.cell_plan import CellPlan, channels_of
from cmnas_tf.genotype import EDGES, NODES, OPERATIONS, sources_of
from cmnas_tf.layers import ModalityNorm, Softmax
from cmnas_tf.modality import Rows
from cmnas_tf.models import Head, ReidNetwork
from cmnas_tf.models.cell_net import CellSupernet, derived_net
from tests.models.genotypes import EVERYTHING
from tests.oracles.cells import CellForward
from tests.oracles.norms import softmax
from tests.oracles.policies import dtype_policy

ROWS = Rows({"visible": 2, "infrared": 1})
PLAN = CellPlan(EVERYTHING, (2, 1))


def weights_of(backbone) -> dict[str, np.ndarray]:
    paths = ReidNetwork(backbone, Head(1)).get_weight_paths()
    return {path.removeprefix("backbone."): weight.numpy() for path, weight in paths.items()}


def randomized(backbone, height: int = 32):
    backbone(tf.zeros([3, height, 16, 3], backbone.compute_dtype), ROWS)
    rng = np.random.default_rng(2)
    for weight in backbone.weights:
        weight.assign(weight + 0.3 * rng.random(weight.shape))
    return backbone


def shared(site: str, affine: bool = True) -> ModalityNorm:
    return ModalityNorm("shared", affine=affine)


def supernet(cells: tuple[int, ...] = (1, 1), candidates=OPERATIONS, affine: bool = False):
    def make_norm(site, _=True):
        return ModalityNorm("shared", affine=affine)

    return CellSupernet(cells, candidates, Softmax(), make_norm, channels=3)


@pytest.mark.parametrize("cells", [(2, 1), (1, 1, 1)], ids=str)
def test_a_derived_network_equals_the_oracle(cells):
    """Odd sizes, norms of both kinds, one reduction after another; both modes, in float64."""
    made = []

    def make_norm(site, affine=True):
        made.append(site)
        return ModalityNorm("separate" if len(site) % 2 else "shared", affine=affine)

    plan = CellPlan(EVERYTHING, cells)
    with dtype_policy("float64"):
        backbone = randomized(derived_net(plan, make_norm, channels=4), height=61)
    weights = weights_of(backbone)
    x = np.random.default_rng(1).standard_normal((3, 61, 22, 3))
    edges = (EVERYTHING.normal, EVERYTHING.reduction)
    for training in (False, True):
        y = backbone(tf.constant(x), ROWS, training=training)
        expected = CellForward(weights, 2, training).network(x, cells, *edges)
        assert y.shape == expected.shape
        np.testing.assert_allclose(y, expected, atol=1e-9 * np.abs(expected).max())
    assert sorted(made) == sorted(plan.sites())


def test_norms_are_listed_in_the_order_of_the_sites():
    asked = {}

    def make_norm(site, affine=True):
        asked[site] = shared(site, affine)
        return asked[site]

    norms = derived_net(PLAN, make_norm, channels=4).norms()
    assert tuple(norms) == PLAN.sites()
    assert all(norms[site] is asked[site] for site in asked)


def test_a_weight_lies_where_its_site_says():
    weights = weights_of(randomized(derived_net(PLAN, shared, channels=4)))
    for site in PLAN.sites():
        path = {"stem": "bn1"}.get(site, site)
        assert f"{path}.shared.moving_mean" in weights
    assert "layer2.0.node5.input0.even.kernel" in weights


def test_a_searching_network_equals_the_oracle():
    with dtype_policy("float64"):
        backbone = randomized(supernet())
    rng = np.random.default_rng(4)
    edges = []
    for logits in backbone.logits().values():
        logits.assign(rng.standard_normal(logits.shape))
        rows = dict(zip(EDGES, logits.numpy(), strict=True))
        edges.append(
            {
                node: {
                    source: dict(zip(OPERATIONS, softmax(rows[node, source]), strict=True))
                    for source in sources_of(node)
                }
                for node in NODES
            }
        )
    weights = weights_of(backbone)
    x = rng.standard_normal((3, 31, 16, 3))
    for training in (False, True):
        y = backbone(tf.constant(x), ROWS, training=training)
        expected = CellForward(weights, 2, training).network(x, (1, 1), *edges)
        np.testing.assert_allclose(y, expected, atol=1e-9 * np.abs(expected).max())


def test_owns_two_tables_of_logits_that_start_at_zero():
    """[14, 7] for each kind of cell, whatever the number of cells; found where they are owned."""
    backbone = randomized(supernet((2, 1), ("none", "skip_connect", "max_pool_3x3")))
    fresh = supernet((2, 1)).logits()
    assert list(fresh) == ["normal", "reduction"]
    for kind, logits in fresh.items():
        assert logits.shape == (14, 7) and logits.dtype == tf.float32
        np.testing.assert_array_equal(logits, np.zeros((14, 7)))
        assert f"{kind}_logits" in weights_of(backbone)
    tables = [w for w in backbone.trainable_weights if w.shape == (14, 3)]
    assert {id(table) for table in tables} == {id(w) for w in backbone.logits().values()}


@pytest.mark.slow
def test_decided_logits_make_it_the_derived_network():
    """Where one operation has all the weight on the edges of a genotype, and ``none`` on the
    others, the supernet computes what the derived network does with its weights.
    """
    searching = randomized(supernet(affine=True))
    for kind, logits in searching.logits().items():
        chosen = np.full(logits.shape, -60.0)
        for row, (node, source) in enumerate(EDGES):
            operation = EVERYTHING.cell(kind)[node].get(source, "none")
            chosen[row, OPERATIONS.index(operation)] = 60.0
        logits.assign(chosen)
    plan = CellPlan(EVERYTHING, (1, 1))
    derived = randomized(derived_net(plan, lambda site, affine=True: shared(site), channels=3))
    weights = {}
    for path, value in weights_of(searching).items():
        head, _, tail = path.partition(".operations.")
        weights[f"{head}.{tail.partition('.')[2]}" if tail else path, tail.split(".")[0]] = value
    for path, weight in ReidNetwork(derived, Head(1)).get_weight_paths().items():
        if not path.startswith("head"):
            path = path.removeprefix("backbone.")
            weight.assign(weights[path, operation_at(path)])
    x = tf.random.stateless_normal([3, 32, 16, 3], seed=[1, 2])
    for training in (False, True):
        expected = derived(x, ROWS, training=training).numpy()
        y = searching(x, ROWS, training=training)
        np.testing.assert_allclose(y, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def operation_at(path: str) -> str:
    """The operation that a weight of the derived network belongs to; empty off the edges."""
    stage, _, node, source, *_ = [*path.split("."), "", "", ""]
    if not node.startswith("node"):
        return ""
    return EVERYTHING.cell("reduction" if stage == "layer2" else "normal")[node][source]


@pytest.mark.parametrize("width, channels", [(1.0, 64), (0.5, 32), (1 / 16, 4), (0.001, 1)])
def test_channels_of_a_width(width, channels):
    assert channels_of(width) == channels


def test_the_smallest_image_it_names_is_one_it_takes():
    """Of candidates in two stages: 25 pixels high, and 24 are too few."""
    backbone = supernet((1, 1), ("none", "part_aware"))
    assert backbone.smallest_height == 25
    assert backbone(tf.zeros([1, 25, 16, 3]), Rows({"visible": 1})).shape == (1, 4, 2, 24)
    with pytest.raises(ValueError, match=r"3 x 2 \(height x width\)"):
        backbone(tf.zeros([1, 24, 16, 3]), Rows({"visible": 1}))
