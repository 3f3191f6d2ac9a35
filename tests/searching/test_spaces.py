"""The search space that the settings name, and what it can be searched with."""

import dataclasses

import pytest

from cmnas_tf import settings
from cmnas_tf.cell_plan import CellPlan
from cmnas_tf.errors import BadInput
from cmnas_tf.layers import Gdas, GumbelSoftmax, Softmax
from cmnas_tf.search_spaces import AUTO_REID, DARTS, CellSpace, NormSpace
from cmnas_tf.searching.spaces import BUILDERS, search_space
from tests.models.genotypes import EVERYTHING

BOTH = ("visible", "infrared")


def settings_with(space="norm", relaxation="softmax", **network):
    return settings.Search(
        schedule=settings.SearchSchedule(search_space=space, relaxation=relaxation),
        network=settings.Network(**network),
        devices=settings.TrainingDevices(batch_norm="synchronized"),
    )


def test_every_choice_has_a_builder():
    (field,) = (f for f in dataclasses.fields(settings.SearchSchedule) if f.name == "search_space")
    assert field.metadata["choices"] == tuple(BUILDERS)


def test_the_norms_of_a_resnet_or_of_a_network_of_cells(tmp_path):
    space = search_space(settings_with(width=0.5, last_stride=2))
    assert isinstance(space.relaxation, Softmax)
    assert space == NormSpace("resnet50", space.relaxation, 2, 0.5, True)
    assert search_space(settings_with(backbone="resnet18")).backbone == "resnet18"
    EVERYTHING.save(tmp_path / "genotype.json")
    given = {"backbone": str(tmp_path / "genotype.json"), "cells": (1, 2)}
    assert search_space(settings_with(**given)).backbone == CellPlan(EVERYTHING, (1, 2))


@pytest.mark.parametrize("name, candidates", [("reid_cells", AUTO_REID), ("darts_cells", DARTS)])
def test_the_cells(name, candidates):
    space = search_space(settings_with(name, width=0.5))
    assert space == CellSpace(space.relaxation, candidates, (2, 2, 2, 2), 0.5, True)
    assert search_space(settings_with(name, cells=(1, 3))).cells == (1, 3)


@pytest.mark.parametrize("name, kind", [("gumbel", GumbelSoftmax), ("gdas", Gdas)])
@pytest.mark.parametrize("space", ["norm", "reid_cells"])
def test_what_draws_has_the_seed_and_the_temperatures(space, name, kind):
    relaxation = search_space(settings_with(space, name)).relaxation
    assert type(relaxation) is kind
    assert (relaxation.seed, relaxation.initial, relaxation.final) == (0, 5.0, 0.5)


@pytest.mark.parametrize(
    "given, message",
    [
        ({"space": "reid_cells", "backbone": "resnet50"}, "--backbone=resnet50 means nothing to"),
        (
            {"space": "darts_cells", "last_stride": 2},
            "--last_stride=2 .*=darts_cells",
        ),
        ({"cells": (1, 1)}, "--cells=1,1 is for a network of cells, and resnet50 has none"),
        ({"backbone": "vgg16"}, "No backbone 'vgg16'"),
    ],
)
def test_settings_that_are_not_of_the_space_are_refused(given, message):
    with pytest.raises(BadInput, match=message):
        search_space(settings_with(**given))


def test_which_modalities_a_space_is_searched_with():
    norms, cells = search_space(settings_with()), search_space(settings_with("reid_cells"))
    norms.check(BOTH)
    cells.check(["infrared"])
    with pytest.raises(BadInput, match=r"all infrared, .* question for two"):
        norms.check(["infrared"])
    with pytest.raises(BadInput, match=r"Say which: --modality=visible or --modality=infrared\."):
        cells.check(BOTH)


def test_norms_have_no_cost_to_choose_by():
    with pytest.raises(BadInput, match=r"--latency_weight is for a search for cells: .* the same"):
        search_space(settings_with()).expected_cost(None, 64, 32)
