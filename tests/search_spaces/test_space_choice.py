"""The search space that a command names, and what it can be searched with."""

import pytest

from cmnas_tf.cell_plan import CellPlan
from cmnas_tf.errors import BadInput
from cmnas_tf.search_spaces import (
    AUTO_REID,
    DARTS,
    SPACES,
    CellSpace,
    DartsCells,
    NormSpace,
    SpaceChoice,
)
from tests.models.genotypes import EVERYTHING

BOTH = ("visible", "infrared")


def space_of(name="norm", **given):
    return SpaceChoice(**{"search_space": name, **given}).make()


def test_every_registered_space_can_be_named():
    assert (
        SpaceChoice.options()[0].choices == tuple(SPACES) == ("norm", "reid_cells", "darts_cells")
    )
    assert [SPACES.name_of(type(space_of(name))) for name in SPACES] == list(SPACES)
    with pytest.raises(BadInput, match=r"search_space='norms' is .*Did you mean norm\?"):
        space_of("norms")


def test_the_norms_of_a_resnet_or_of_a_network_of_cells(tmp_path):
    assert space_of(width=0.5, last_stride=2) == NormSpace(width=0.5, last_stride=2)
    assert space_of(backbone="resnet18").backbone == "resnet18"
    assert space_of(backbone="") == space_of() == NormSpace()
    EVERYTHING.save(tmp_path / "genotype.json")
    given = {"backbone": str(tmp_path / "genotype.json"), "cells": (1, 2)}
    assert space_of(**given).backbone == CellPlan(EVERYTHING, (1, 2))


@pytest.mark.parametrize(
    ("name", "kind", "candidates"),
    [("reid_cells", CellSpace, AUTO_REID), ("darts_cells", DartsCells, DARTS)],
)
def test_the_cells(name, kind, candidates):
    space = space_of(name, width=0.5)
    assert space == kind((2, 2, 2, 2), 0.5)
    assert space.candidates == candidates
    assert space_of(name, cells=(1, 3)).cells == (1, 3)
    assert space_of(name, cells=()).cells == (2, 2, 2, 2)


@pytest.mark.parametrize(
    "given, message",
    [
        (
            {"name": "reid_cells", "backbone": "resnet50"},
            "backbone=resnet50 means nothing to search_space=reid_cells",
        ),
        ({"name": "darts_cells", "last_stride": 2}, "last_stride=2 .*=darts_cells"),
        ({"cells": (1, 1)}, "cells=1,1 is for a network of cells, and resnet50 has none"),
        ({"backbone": "vgg16"}, "no backbone 'vgg16'"),
        ({"width": 0.01}, "width=0.01 is out of range"),
    ],
)
def test_options_that_are_not_of_the_space_are_refused(given, message):
    with pytest.raises(BadInput, match=message):
        space_of(**given)


def test_which_modalities_a_space_is_searched_with():
    norms, cells = space_of(), space_of("reid_cells")
    norms.check(BOTH)
    cells.check(["infrared"])
    with pytest.raises(BadInput, match=r"all infrared, .* question for two"):
        norms.check(["infrared"])
    with pytest.raises(BadInput, match=r"Say which: modality=visible or modality=infrared\."):
        cells.check(BOTH)


def test_norms_have_no_cost_to_choose_by():
    with pytest.raises(BadInput, match=r"`latency_weight` is for a search for cells: .* the same"):
        space_of().expected_cost(None, 64, 32)
