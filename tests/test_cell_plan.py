"""Which cell stands where, which norms it has, and how small an image may be."""

import json

import pytest

from cmnas_tf.cell_plan import CellPlan, Place, places_of, smallest_height
from cmnas_tf.errors import BadInput
from cmnas_tf.genotype import Genotype

CHAIN = {
    "node2": {"input0": "skip_connect", "input1": "sep_conv_3x3"},
    "node3": {"input0": "max_pool_3x3", "node2": "skip_connect"},
    "node4": {"node2": "dil_conv_3x3", "node3": "dil_conv_3x3"},
    "node5": {"node3": "avg_pool_3x3", "node4": "dil_conv_3x3"},
}


def with_part_aware(node: str, source: str) -> dict:
    return {**CHAIN, node: {**CHAIN[node], source: "part_aware"}}


def test_places_by_hand():
    """Of 2, 1 and 2 cells: stages 2 and 3 begin with a reduction, and the next cell comes after."""
    assert places_of((2, 1, 2)) == (
        Place(1, 0, "normal", False),
        Place(1, 1, "normal", False),
        Place(2, 0, "reduction", False),
        Place(3, 0, "reduction", True),
        Place(3, 1, "normal", True),
    )
    assert places_of((1,))[0].name == "layer1.0"


@pytest.mark.parametrize("cells", [(), (2, 0), (-1,), (1_000_000,), (2**63,), (600, 600)])
def test_refuses_a_stage_without_cells_and_a_network_of_countless_ones(cells):
    with pytest.raises(BadInput, match=r"1 or more cells"):
        CellPlan(Genotype(CHAIN, CHAIN), cells)


def test_sites_by_hand():
    """A skip has a norm where it reduces; pools have one too."""
    plan = CellPlan(Genotype(CHAIN, with_part_aware("node5", "node4")), (1, 1))
    assert plan.sites() == (
        "stem",
        "layer1.0.input0.bn",
        "layer1.0.input1.bn",
        "layer1.0.node2.input1.first.bn",
        "layer1.0.node2.input1.second.bn",
        "layer1.0.node3.input0.bn",
        "layer1.0.node4.node2.bn",
        "layer1.0.node4.node3.bn",
        "layer1.0.node5.node3.bn",
        "layer1.0.node5.node4.bn",
        "layer2.0.input0.bn",
        "layer2.0.input1.bn",
        "layer2.0.node2.input0.bn",
        "layer2.0.node2.input1.first.bn",
        "layer2.0.node2.input1.second.bn",
        "layer2.0.node3.input0.bn",
        "layer2.0.node4.node2.bn",
        "layer2.0.node4.node3.bn",
        "layer2.0.node5.node3.bn",
        "layer2.0.node5.node4.parts_bn",
        "layer2.0.node5.node4.last.bn",
    )


def test_json_round_trip():
    plan = CellPlan(Genotype(CHAIN, CHAIN, {"seed": 1}), (1, 2))
    again = CellPlan.from_json(json.loads(json.dumps(plan.to_json())))
    assert again == plan and again.genotype.provenance == {"seed": 1}
    assert again != CellPlan(plan.genotype)
    assert str(plan) == "a network of 1-2 cells"


@pytest.mark.parametrize("cells", [None, "2222", [2, "2"], [2.0]])
def test_refuses_cells_that_are_no_numbers(cells):
    content = {"cells": cells, "genotype": Genotype(CHAIN, CHAIN).to_json()}
    with pytest.raises(BadInput, match="number of cells of each stage"):
        CellPlan.from_json(content)


@pytest.mark.parametrize(
    "normal, reduction, height",
    [
        (CHAIN, CHAIN, 1),
        (with_part_aware("node3", "node2"), CHAIN, 97),
        (CHAIN, with_part_aware("node2", "input1"), 49),
        (CHAIN, with_part_aware("node3", "node2"), 97),
    ],
    ids=["nowhere", "normal", "reduction, input", "reduction, node"],
)
def test_smallest_height(normal, reduction, height):
    """Four stages divide by 32. 97 pixels: 49 after the first convolution, then 25, 13, 7 and 4
    rows, which are one for each part; 96 become 3. A reduction cell's input is twice as high.
    """
    assert smallest_height((2, 2, 2, 2), {"normal": normal, "reduction": reduction}) == height


def test_smallest_height_of_candidates():
    """Two stages divide by 8: 25, 13, 7, 4."""
    edges = {
        node: dict.fromkeys(sources, ("none", "part_aware")) for node, sources in CHAIN.items()
    }
    assert smallest_height((1, 1), {"normal": edges, "reduction": edges}) == 25
