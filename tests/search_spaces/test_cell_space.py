"""The supernet of Auto-ReID, its logits, and what is derived from them."""

import collections
import math
from functools import partial

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import softmax

from cmnas_tf.architecture import Architecture
from cmnas_tf.cell_plan import CellPlan
from cmnas_tf.data.pipeline import Batch
from cmnas_tf.errors import BadInput
from cmnas_tf.genotype import EDGES, NODES, OPERATIONS, Genotype
from cmnas_tf.layers import GumbelSoftmax, Softmax
from cmnas_tf.losses import Objective
from cmnas_tf.modality import Rows
from cmnas_tf.models import Head, ReidNetwork
from cmnas_tf.models.cost import edge_costs
from cmnas_tf.options import described
from cmnas_tf.search_spaces import AUTO_REID, DARTS, CellSpace, DartsCells
from cmnas_tf.search_spaces.cell_space import strongest
from cmnas_tf.searching.supernet_search import _with_cost
from cmnas_tf.training.gradient_step import gradient_step
from cmnas_tf.training.optimizers import Adam, Coupled
from tests.models.genotypes import EVERYTHING
from tests.oracles.finite_differences import assert_variable_gradients, central_differences
from tests.oracles.policies import dtype_policy

SPACE = CellSpace(cells=(1, 1), width=1 / 16)
DARTS_SPACE = DartsCells(cells=(1, 1), width=1 / 16)
LABELS = tf.constant([0, 0, 2, 2])


@pytest.fixture(scope="module")
def network():
    return SPACE.supernet(Softmax(), num_classes=3)


@pytest.fixture
def supernet(network):
    for logits in SPACE.logits(network).values():
        logits.assign(tf.zeros_like(logits))
    return network


def lean(supernet, genotype: Genotype, lead: float = 1.0) -> None:
    """Gives the operations of a genotype a lead over all others."""
    for kind, logits in SPACE.logits(supernet).items():
        values = np.zeros(logits.shape)
        for row, (node, source) in enumerate(EDGES):
            if source in genotype.cell(kind)[node]:
                values[row, AUTO_REID.index(genotype.cell(kind)[node][source])] = lead
        logits.assign(values)


def test_the_lists_of_candidates():
    """Auto-ReID's seven, ``none`` among them; DARTS' without the part-aware operation."""
    assert len(AUTO_REID) == 7 and list(AUTO_REID) == list(OPERATIONS)
    assert [*DARTS, "part_aware"] == list(AUTO_REID)
    assert SPACE.candidates is AUTO_REID


def test_only_the_stems_norm_has_scale_and_offset(supernet):
    """14 edges with 10 norms each but for the skip, which has one at stride 2; inputs; the stem."""
    names = supernet.get_weight_paths()
    scales = [name for name in names if name.startswith("backbone") and name.endswith("gamma")]
    assert scales == ["backbone.bn1.shared.gamma"]
    norms = [name for name in names if name.startswith("backbone") and "moving_mean" in name]
    strided = sum(source.startswith("input") for _, source in EDGES)
    assert len(norms) == 1 + 2 * 2 + 2 * 14 * 7 + strided


def test_logits_belong_to_the_backbone_and_are_its_only_tables(supernet):
    logits = SPACE.logits(supernet)
    assert list(logits) == ["normal", "reduction"]
    assert {id(v) for v in logits.values()} <= {id(v) for v in supernet.trainable_variables}
    assert all((table == 1 / 7).all() for table in SPACE.tables(supernet).values())


def test_derives_the_genotype_that_leads(supernet):
    """Even where ``none`` has the largest weight of all."""
    lean(supernet, EVERYTHING)
    for logits in SPACE.logits(supernet).values():
        logits.assign(logits + 5.0 * tf.one_hot([AUTO_REID.index("none")] * 14, 7))
    architecture = SPACE.derive(supernet, {"seed": 7})
    assert architecture.backbone == CellPlan(EVERYTHING, (1, 1))
    assert set(architecture.choices.values()) == {"shared"}
    assert architecture.provenance["seed"] == 7
    assert architecture.provenance["ties"] == {"normal": {}, "reduction": {}}
    found = architecture.provenance["probabilities"]["normal"]["node3.node2"]
    share = 1 / (math.exp(5) + math.exp(1) + 5)
    assert found["max_pool_3x3"] == pytest.approx(math.exp(1) * share, rel=1e-5)
    assert found["none"] == pytest.approx(math.exp(5) * share, rel=1e-5)


def test_an_edge_is_as_strong_as_its_best_operation(supernet):
    """Node 4, by hand. Logits of none, skip and dilated (the others have no weight) and strength:
    input0 (1, 1, 0) e / (2 e + 1) = 0.42; input1 (0, 1, 0.9) e / (1 + e + e^0.9) = 0.44;
    node2 (3, 2, 0) e^2 / (e^3 + e^2 + 1) = 0.26, being almost certain of none;
    node3 (0, 2, 0) e^2 / (2 + e^2) = 0.79.
    """
    logits = SPACE.logits(supernet)["normal"]
    values = np.full((14, 7), -60.0)
    rows = {"input0": (1, 1, 0), "input1": (0, 1, 0.9), "node2": (3, 2, 0), "node3": (0, 2, 0)}
    for source, (none, skip, dilated) in rows.items():
        row = EDGES.index(("node4", source))
        for name, value in (("none", none), ("skip_connect", skip), ("dil_conv_3x3", dilated)):
            values[row, AUTO_REID.index(name)] = value
    logits.assign(values)
    genotype = SPACE.derive(supernet, {}).backbone.genotype
    assert dict(genotype.normal["node4"]) == {"input1": "skip_connect", "node3": "skip_connect"}


def test_ties_are_decided_by_order_and_reported(supernet):
    """With equal logits the first operation and the first two edges win everywhere."""
    architecture = SPACE.derive(supernet, {})
    genotype = architecture.backbone.genotype
    for kind in ("normal", "reduction"):
        for node in NODES:
            assert dict(genotype.cell(kind)[node]) == dict.fromkeys(
                ("input0", "input1"), "max_pool_3x3"
            )
    ties = architecture.provenance["ties"]
    assert "node2" not in ties["normal"]  # which has but two edges
    assert ties["normal"]["node4"] == ["input0", "input1", "node2", "node3"]
    assert ties["reduction"]["node5.input1"] == list(AUTO_REID[1:])
    assert "node4.node2" not in ties["normal"]  # which nothing hangs on


@pytest.mark.parametrize(
    "count, chosen, tied",
    [(1, "c", ""), (2, "ca", "abd"), (3, "cab", "abd"), (4, "cabd", ""), (5, "cabde", "")],
)
def test_strongest_by_hand(count, chosen, tied):
    values = {"a": 0.5, "b": 0.5, "c": 0.7, "d": 0.5, "e": 0.1}
    assert strongest(values, count) == (list(chosen), list(tied))


def test_summary_counts_bits_and_operations(supernet):
    """Seven even candidates are log2 7 = 2.81 bits; decided ones none."""
    scalars, _ = SPACE.summary(supernet)
    assert scalars["architecture/mean_entropy_bits"] == pytest.approx(math.log2(7))
    assert scalars["probability/normal/part_aware"] == pytest.approx(1 / 7)
    lean(supernet, EVERYTHING, lead=800.0)
    scalars, words = SPACE.summary(supernet)
    others = 6 / 14  # the edges of a cell that have not decided
    bits = others * math.log2(7)
    assert scalars["architecture/mean_entropy_bits"] == pytest.approx(bits)
    expected = 1 / 14 + others / 7
    assert scalars["probability/normal/part_aware"] == pytest.approx(expected)
    assert sum(scalars[f"derived/{name}"] for name in AUTO_REID if name != "none") == 16
    assert scalars["derived/skip_connect"] == 4 and "skip_connect 4" in words


def test_images_must_be_high_enough_for_the_part_aware_operation(supernet):
    """Two stages divide by 8: 25 rows become 13, 7 and 4. The candidates of DARTS need none."""
    supernet.check_height(25)
    with pytest.raises(BadInput, match=r"24 pixels high .*Give image_height=25 or more"):
        supernet.check_height(24)
    without = DARTS_SPACE.supernet(Softmax(), 3)
    without.check_height(8)
    assert {logits.shape[1] for logits in DARTS_SPACE.logits(without).values()} == {6}


def test_gumbel_noise_is_another_for_each_edge_and_each_kind_of_cell():
    backbone = DARTS_SPACE.supernet(GumbelSoftmax(seed=1), 3).backbone
    rows = np.concatenate(
        [np.stack([weights[edge] for edge in EDGES]) for weights in backbone.mixtures().values()]
    )
    np.testing.assert_allclose(rows.sum(axis=1), 1.0, rtol=1e-5)
    assert len(np.unique(rows.round(6), axis=0)) == 28


@pytest.mark.slow
def test_gradient_of_every_logit_through_the_whole_supernet():
    """Cross entropy and triplet: 2 x 14 x 7 logits against central differences, in float64."""
    with dtype_policy("float64"):
        backbone = SPACE.supernet(Softmax(), num_classes=3).backbone
        supernet = ReidNetwork(backbone, Head(3, dtype="float64"))
    rng = np.random.default_rng(3)
    images = tf.constant(rng.standard_normal((4, 32, 16, 3)))
    supernet.embed(images, "visible")
    for weight in supernet.weights:
        weight.assign(weight + 0.1 * rng.random(weight.shape))
    objective, rows = Objective(correlation=0.0, mmd=0.0), Rows({"visible": 4})

    def loss():
        outputs = supernet.embed(images, "visible", training=True).by_modality(rows)
        return objective(outputs, LABELS, images_per_identity=2)["total"]

    assert_variable_gradients(loss, list(SPACE.logits(supernet).values()), tolerance=1e-5)


def test_decided_logits_select_a_genotype_and_none_everywhere_else(supernet):
    """Its operations have all the weight of their edges, ``none`` that of the six others."""
    architecture = Architecture.shared(CellPlan(EVERYTHING, (1, 1)))
    SPACE.select(supernet, architecture)
    derived = SPACE.derive(supernet, {})
    assert derived == architecture
    tables = SPACE.tables(supernet)
    for kind, table in tables.items():
        assert set(np.unique(table.astype(np.float32))) == {0.0, 1.0}
        assert table[:, AUTO_REID.index("none")].sum() == 6
        chosen = {d for d in SPACE.chosen(architecture) if d.startswith(kind)}
        certain = {d for d, weight in SPACE.probabilities(derived).items() if weight == 1.0}
        nothing = {d for d in certain if d.endswith("=none")}
        assert chosen == {d for d in certain - nothing if d.startswith(kind)}


def test_what_a_space_of_cells_contains():
    own = Architecture.shared(CellPlan(EVERYTHING, (1, 1)))
    assert SPACE.contains(own)
    assert not DARTS_SPACE.contains(own)  # it has part-aware operations
    assert not SPACE.contains(Architecture.shared(CellPlan(EVERYTHING, (1, 2))))
    assert not SPACE.contains(Architecture.separate(CellPlan(EVERYTHING, (1, 1))))
    assert not SPACE.contains(Architecture.shared("resnet18"))
    drawn = SPACE.random_like(own, 5)
    assert SPACE.contains(drawn) and drawn != own and drawn == SPACE.random_like(own, 5)


def test_every_edge_is_a_decision_between_the_candidates():
    """``none`` is one: for no edge."""
    decisions = SPACE.decisions()
    assert len(decisions) == 28 and set(decisions.values()) == {AUTO_REID}
    assert {"normal.node2.input0", "reduction.node5.node4"} <= set(decisions)
    own = {word.partition("=")[0] for word in SPACE.chosen(SPACE.random(0))}
    assert len(own) == 16 and own < set(decisions)
    assert set(DARTS_SPACE.decisions().values()) == {DARTS}


@pytest.mark.parametrize("space", [SPACE, DARTS_SPACE], ids=["reid", "darts"])
def test_random_architectures_have_every_edge_and_operation_equally_often(space):
    """A node with n sources takes each in 2 / n of 300 draws, and an edge each of k operations in
    1 / k of 4800, within 5 standard deviations of at most 0.029 and 0.0058."""
    drawn = [space.random(seed) for seed in range(300)]
    assert all(space.contains(found) for found in drawn)
    assert space.random(3) == drawn[3] != drawn[4]
    assert drawn[3].backbone.genotype.provenance["drawn"] == {"seed": 3}
    names = [name for name in space.candidates if name != "none"]
    pairs = [word.split("=") for found in drawn for word in space.chosen(found)]
    edges, operations = (collections.Counter(words) for words in zip(*pairs, strict=True))
    for edge in space.decisions():
        sources = int(edge.split(".")[1].removeprefix("node"))
        assert abs(edges[edge] / 300 - 2 / sources) < 5 * 0.029
    assert set(operations) == set(names)
    for count in operations.values():
        assert abs(count / (300 * 16) - 1 / len(names)) < 5 * 0.0058


@pytest.mark.parametrize("space", [SPACE, DARTS_SPACE], ids=["reid", "darts"])
def test_a_mutation_changes_one_edge(space):
    """Its source or its operation. Node 5 has two edges: for either there are 3 other sources, and
    5 other operations, 4 of DARTS; each is as likely, within 5 standard deviations."""
    given = space.random(1)
    before, found = set(space.chosen(given)), collections.Counter()
    seeds = 2000
    for seed in range(seeds):
        mutated = space.mutate(given, seed)
        assert space.contains(mutated)
        (old,), (new,) = before - set(space.chosen(mutated)), set(space.chosen(mutated)) - before
        (edge, operation), (other, instead) = (word.split("=") for word in (old, new))
        assert edge.rpartition(".")[0] == other.rpartition(".")[0]
        assert (edge == other) != (operation == instead)
        found[old, new] += 1
    assert set(space.chosen(given)) == before
    assert space.mutate(given, 7) == space.mutate(given, 7)
    assert {old for old, _ in found} == before
    others = len(space.candidates) - 2
    for old in before:
        node = int(old.split(".")[1].removeprefix("node"))
        choices = [count for (word, _), count in found.items() if word == old]
        assert len(choices) == node - 2 + others
        p = 1 / 16 / len(choices)
        assert all(abs(n / seeds - p) < 5 * math.sqrt(p / seeds) for n in choices)


def test_the_number_of_cells_is_the_usual_one_where_none_is_given():
    """Also in what an earlier version recorded."""
    assert CellSpace(cells=()) == CellSpace() == CellSpace(cells=[2, 2, 2, 2])
    recorded = next(o.recorded for o in CellSpace.options() if o.name == "cells")
    assert recorded([]) == recorded(()) == [2, 2, 2, 2] == described([CellSpace()])["cells"]
    assert described([SPACE]) == {"cells": [1, 1], "width": 1 / 16}


def test_expected_cost_against_numpy_and_finite_differences(supernet):
    """sum_e sum_k p_ek c_ek over the same sum with p = 1/7, for random logits; 1 at even ones."""
    cost = SPACE.expected_cost(supernet, 32, 16)
    assert float(cost()) == pytest.approx(1.0, rel=1e-6)
    tables = {k: t[..., 1] for k, t in edge_costs((1, 1), AUTO_REID, 4, 32, 16).items()}
    even = sum(table.sum() / 7 for table in tables.values())

    def expected(logits):  # [2, 14, 7]
        pairs = zip(softmax(logits, axis=-1), tables.values(), strict=True)
        return sum((shares * table).sum() for shares, table in pairs) / even

    values = np.random.default_rng(0).standard_normal((2, 14, 7)).astype(np.float32)
    variables = list(SPACE.logits(supernet).values())
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    with tf.GradientTape() as tape:
        found = cost()
    assert float(found) == pytest.approx(expected(values.astype(np.float64)), rel=1e-6)
    gradient = np.stack(tape.gradient(found, variables))
    differences = central_differences(expected, values.astype(np.float64))
    np.testing.assert_allclose(gradient, differences, atol=1e-6 * np.abs(differences).max())


def test_an_expensive_mixture_becomes_a_cheap_one(supernet):
    """Two steps of the logits alone: with a large weight on the cost no convolution is derived, and
    what is left on an edge at stride 1 is free; without, the batch decides."""
    rng = np.random.default_rng(1)
    images = tf.constant(rng.standard_normal((4, 32, 16, 3)), tf.float32)
    batch = Batch({"visible": images}, LABELS)
    objective = Objective(correlation=0.0, mmd=0.0)
    expected_cost = SPACE.expected_cost(supernet, 32, 16)
    aware = partial(_with_cost, objective, 10_000.0, expected_cost)
    optimizer = Coupled(Adam(), list(SPACE.logits(supernet).values()), 0.5, 0.0)
    costs = []
    for _ in range(2):
        terms = gradient_step(supernet, aware, optimizer, batch, images_per_identity=2)
        costs.append(float(terms["expected_cost"]))
        parts = terms["cross_entropy"] + terms["triplet"]
        np.testing.assert_allclose(terms["total"], parts + 10_000.0 * costs[-1], rtol=1e-6)
    assert costs[0] == pytest.approx(1.0, rel=1e-6) and costs[1] < 0.75
    genotype = SPACE.derive(supernet, {}).backbone.genotype
    cells = [genotype.cell(kind).values() for kind in ("normal", "reduction")]
    derived = {name for cell in cells for edges in cell for name in edges.values()}
    assert derived <= {"max_pool_3x3", "avg_pool_3x3", "skip_connect"}


def test_a_random_architecture_of_the_size_of_another():
    """Of its own candidates: DARTS' have no part-aware operation."""
    given = Architecture.shared(CellPlan(EVERYTHING, (1, 1)))
    space = DartsCells(cells=(1, 1), width=1 / 8)
    drawn = space.random_like(given, seed=4)
    assert space.contains(drawn) and drawn != given
    assert drawn == space.random_like(given, seed=4) != space.random_like(given, seed=5)
