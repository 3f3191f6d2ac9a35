"""Costs by edge against those of whole networks, and what random cells of a size are."""

from dataclasses import replace

import numpy as np
import pytest

from cmnas_tf.cell_plan import CellPlan
from cmnas_tf.errors import BadInput
from cmnas_tf.genotype import EDGES, KINDS, NODES, OPERATIONS, Genotype
from cmnas_tf.models import cell_network
from cmnas_tf.models.cost import cost_of, edge_costs
from cmnas_tf.search_spaces import random_cells
from cmnas_tf.search_spaces.random_cells import TOLERANCE, random_genotype
from tests.models.genotypes import EVERYTHING

PLAN = CellPlan(EVERYTHING, (1, 2))
SKIPS = Genotype(
    *[{node: dict.fromkeys(["input0", "input1"], "skip_connect") for node in NODES}] * 2
)


def of_edges(genotype: Genotype, tables) -> np.ndarray:
    """Parameters and multiply-adds of a genotype's edges, [2]."""
    return sum(
        tables[kind][EDGES.index((node, source)), OPERATIONS.index(name)]
        for kind in KINDS
        for node, edges in genotype.cell(kind).items()
        for source, name in edges.items()
    )


@pytest.mark.slow
def test_networks_differ_by_their_edges():
    """Every operation at both strides, in three cells of two widths, for odd sizes: 49 x 27 pixels
    become 13 x 7, then 7 x 4."""
    tables = edge_costs((1, 2), OPERATIONS, 4, 49, 27)
    every, skips = (cost_of(cell_network(g, 3, 4, (1, 2)), 49, 27) for g in (EVERYTHING, SKIPS))
    difference = of_edges(EVERYTHING, tables) - of_edges(SKIPS, tables)
    np.testing.assert_array_equal(np.subtract(every, skips), difference)
    assert (difference > 0).all()
    assert not tables["normal"][:, OPERATIONS.index("none")].any()


def test_random_cells_are_as_large_as_those_given():
    tables = edge_costs(PLAN.cells, OPERATIONS, 8, 64, 64)
    wanted = of_edges(EVERYTHING, tables)[0]
    drawn = [random_genotype(PLAN, seed, 8) for seed in range(8)]
    for genotype in drawn:
        assert abs(of_edges(genotype, tables)[0] / wanted - 1) <= TOLERANCE
    assert len({str(genotype) for genotype in drawn}) == 8
    assert random_genotype(PLAN, 3, 8) == drawn[3]
    named = drawn[3].provenance["drawn"]
    assert named["edge_parameters_wanted"] == wanted and named["seed"] == 3
    found = {name for g in drawn for k in KINDS for e in g.cell(k).values() for name in e.values()}
    assert found == set(OPERATIONS) - {"none"}


def test_random_cells_of_some_operations():
    names = ("none", "max_pool_3x3", "dil_conv_3x3", "sep_conv_3x3")
    genotype = random_genotype(PLAN, 0, 8, names)
    found = {name for k in KINDS for e in genotype.cell(k).values() for name in e.values()}
    assert found <= set(names[1:])


def test_sizes_that_random_cells_hardly_have(monkeypatch):
    """All part-aware, the largest operation of a wide network, is one genotype in billions."""
    monkeypatch.setattr(random_cells, "_DRAWS", 50)
    largest = [{n: dict.fromkeys(["input0", "input1"], "part_aware") for n in NODES}] * 2
    with pytest.raises(BadInput, match=r"Of 50 random genotypes none had \d+ parameters"):
        random_genotype(replace(PLAN, genotype=Genotype(*largest)), 0, 8)
