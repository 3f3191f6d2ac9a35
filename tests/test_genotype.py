"""What a genotype is, and what is refused as none."""

import copy
import json
import re
from pathlib import Path

import pytest

from cmnas_tf.errors import BadInput
from cmnas_tf.genotype import EDGES, OPERATIONS, Genotype, stride_of

PUBLISHED = Path(__file__).parent.parent / "configs" / "architectures"
CELL = {
    "node2": {"input0": "sep_conv_3x3", "input1": "skip_connect"},
    "node3": {"input0": "dil_conv_3x3", "node2": "max_pool_3x3"},
    "node4": {"input1": "avg_pool_3x3", "node3": "part_aware"},
    "node5": {"node3": "dil_conv_3x3", "node4": "skip_connect"},
}
# Operation and input of the two edges of nodes 2 to 5, in the form in which they were published.
AUTHORS = {
    "auto_reid_retrieval": (
        "sep 0, skip 1 | dil 2, dil 0 | dil 3, sep 2 | dil 4, dil 3",
        "max 0, part 1 | sep 0, dil 2 | dil 2, max 0 | dil 4, dil 3",
    ),
    "auto_reid_baseline_reid": (
        "dil 0, skip 1 | max 2, sep 0 | max 3, sep 1 | sep 2, dil 3",
        "skip 1, part 0 | avg 2, part 0 | sep 1, avg 2 | skip 4, max 3",
    ),
    "auto_reid_baseline": (
        "dil 1, dil 0 | dil 1, sep 2 | dil 2, sep 1 | sep 2, sep 3",
        "sep 1, skip 0 | max 2, dil 1 | max 0, dil 2 | skip 0, dil 4",
    ),
}


def changed(node: str, edges) -> dict:
    return {**CELL, node: edges}


def content(**cells) -> dict:
    return {"schema": "cmnas_tf.genotype.1", "normal": CELL, "reduction": CELL, **cells}


def test_edges_are_those_of_darts():
    """2 + 3 + 4 + 5 = 14, node by node, the inputs first."""
    assert len(EDGES) == 14
    assert EDGES[:6] == (
        ("node2", "input0"),
        ("node2", "input1"),
        ("node3", "input0"),
        ("node3", "input1"),
        ("node3", "node2"),
        ("node4", "input0"),
    )
    assert EDGES[-1] == ("node5", "node4")


def test_a_reduction_cell_halves_its_inputs_alone():
    assert stride_of("reduction", "input0") == stride_of("reduction", "input1") == 2
    assert stride_of("reduction", "node2") == stride_of("normal", "input1") == 1


def test_json_round_trip_in_the_order_of_the_edges(tmp_path):
    shuffled = {node: dict(reversed(CELL[node].items())) for node in reversed(CELL)}
    genotype = Genotype(shuffled, CELL, {"seed": 3})
    assert json.dumps(genotype.to_json()["normal"]) == json.dumps(CELL)
    genotype.save(tmp_path / "genotype.json")
    again = Genotype.load(tmp_path / "genotype.json")
    assert again == genotype and again.provenance == {"seed": 3}
    assert again != Genotype(CELL, changed("node2", dict.fromkeys(CELL["node2"], "part_aware")))


def test_cannot_be_changed():
    genotype = Genotype(copy.deepcopy(CELL), CELL)
    with pytest.raises(TypeError):
        genotype.normal["node2"]["input0"] = "part_aware"


@pytest.mark.parametrize("name", AUTHORS)
def test_the_published_ones_are_the_authors(name):
    """Read from the short form of the publication, in a way of its own."""
    genotype = Genotype.load(PUBLISHED / f"{name}.json")
    names = ("input0", "input1", "node2", "node3", "node4", "node5")
    for cell, line in zip((genotype.normal, genotype.reduction), AUTHORS[name], strict=True):
        for node, edges in zip(names[2:], line.split(" | "), strict=True):
            found = set()
            for edge in edges.split(", "):
                word, place = edge.split()
                (operation,) = (full for full in OPERATIONS if full.startswith(word))
                found.add((names[int(place)], operation))
            assert set(cell[node].items()) == found
    assert "github.com/D-X-Y/Auto-ReID-and-Others" in genotype.provenance["source"]


def test_every_published_file_is_named_here():
    assert {path.stem for path in PUBLISHED.glob("*.json")} == set(AUTHORS)


@pytest.mark.parametrize(
    "cell, message",
    [
        (
            changed("node3", {"input0": "conv_7x7", "node2": "max_pool_3x3"}),
            r"from input0 to node3 of the reduction cell is 'conv_7x7'.*max_pool_3x3.*part_aware",
        ),
        (
            changed("node3", {"input0": "none", "node2": "max_pool_3x3"}),
            r"is 'none'; it must be one of max_pool_3x3",
        ),
        (
            changed("node3", {"input0": "skip_connect", "node4": "max_pool_3x3"}),
            r"to node3 .* comes from 'node4'; .* one of input0, input1, node2\.",
        ),
        (
            changed("node3", {"input0": "skip_connect", "node3": "max_pool_3x3"}),
            r"comes from 'node3'",
        ),
        (
            changed("node3", {"input0": "skip_connect"}),
            r"node3 of the reduction cell must have 2 edges.*it has \{'input0': 'skip_connect'\}\.",
        ),
        (
            changed("node4", dict.fromkeys(("input0", "input1", "node2"), "skip_connect")),
            r"node4 of the reduction cell must have 2 edges",
        ),
        (changed("node2", ["skip_connect", "skip_connect"]), r"must have 2 edges, as \{input"),
        (changed("node2", {"input0": "skip_connect", "input1": ["a"]}), r"is \['a'\]; it must be"),
        ({k: v for k, v in CELL.items() if k != "node4"}, r"it has node2, node3, node5\."),
        (changed("node6", CELL["node5"]), r"must have the nodes node2, node3, node4, node5; "),
        (None, r"reduction cell must have the nodes .* it has None"),
    ],
)
def test_refuses_what_is_no_cell(cell, message, tmp_path):
    with pytest.raises(BadInput, match=message):
        Genotype(CELL, cell)
    path = tmp_path / "found.json"
    path.write_text(json.dumps(content(reduction=cell)))
    with pytest.raises(BadInput, match=rf"{re.escape(str(path))} is not a usable genotype.*"):
        Genotype.load(path)


@pytest.mark.parametrize(
    "text, message",
    [
        ("0 1 0 1", "is not a usable genotype file"),
        ("[]", 'a JSON object with "schema": "cmnas_tf.genotype.1"'),
        (json.dumps({**content(), "schema": "another"}), "cmnas_tf.genotype.1"),
        (json.dumps({"schema": "cmnas_tf.genotype.1"}), "the normal and the reduction cell is"),
    ],
)
def test_refuses_what_is_no_genotype_file(text, message, tmp_path):
    path = tmp_path / "found.json"
    path.write_text(text)
    with pytest.raises(BadInput, match=message):
        Genotype.load(path)


def test_names_the_file_that_is_not_there(tmp_path):
    with pytest.raises(BadInput, match=r"No genotype file .*absent.json.*configs/architectures"):
        Genotype.load(tmp_path / "absent.json")


def test_a_genotype_for_people_to_read():
    lines = str(Genotype(CELL, {**CELL, "node5": CELL["node2"]})).splitlines()
    assert len(lines) == 8
    assert lines[1] == "normal node3 = dil_conv_3x3(input0) + max_pool_3x3(node2)"
    assert lines[-1] == "reduction node5 = sep_conv_3x3(input0) + skip_connect(input1)"
