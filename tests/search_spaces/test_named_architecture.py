"""The words that stand for an architecture, and its files."""

import pytest

from cmnas_tf.architecture import Architecture
from cmnas_tf.cell_plan import CellPlan
from cmnas_tf.errors import BadInput
from cmnas_tf.search_spaces.named_architecture import NetworkChoice
from cmnas_tf.search_spaces.random_cells import random_genotype
from tests.models.genotypes import EVERYTHING


def named(architecture, backbone="", **others):
    return NetworkChoice(architecture=architecture, backbone=backbone, **others).make()


@pytest.fixture
def cells(tmp_path):
    """What names a network of cells, of a file."""
    EVERYTHING.save(tmp_path / "genotype.json")
    return {"backbone": str(tmp_path / "genotype.json"), "cells": (1, 1), "width": 1 / 8}


def test_words():
    for word, expected in (
        ("shared", Architecture.shared("resnet18")),
        ("separate", Architecture.separate("resnet18")),
        ("until:layer2", Architecture.separate_until("layer2", "resnet18")),
        ("within:layer2", Architecture.separate_within("layer2", "resnet18")),
    ):
        assert named(word, "resnet18") == expected
    assert named("shared") == Architecture.shared("resnet50")


def test_a_file_knows_its_backbone(tmp_path):
    Architecture.separate("resnet34").save(tmp_path / "a.json")
    name = str(tmp_path / "a.json")
    assert named(name) == Architecture.separate("resnet34")
    with pytest.raises(BadInput, match="of resnet34, not of resnet18"):
        named(name, "resnet18")


def test_random_cells_are_as_many_and_as_wide_as_the_backbones(cells):
    plan = CellPlan(EVERYTHING, (1, 1))
    drawn = named("random:7", **cells)
    assert drawn == Architecture.shared(CellPlan(random_genotype(plan, 7, channels=8), (1, 1)))
    assert drawn.provenance["drawn"]["seed"] == 7
    assert named("random:8", **cells) != drawn


@pytest.mark.parametrize("name", ["random:", "random:-1", "random:x", "random:1.5"])
def test_random_cells_have_a_seed(cells, name):
    with pytest.raises(BadInput, match=rf"^architecture={name}: a seed, 0 or more, must follow"):
        named(name, **cells)


def test_random_cells_are_of_a_network_of_cells():
    with pytest.raises(
        BadInput, match=r"the backbone is resnet18\. .*`backbone`, an arch.* or gen"
    ):
        named("random:1", "resnet18")
