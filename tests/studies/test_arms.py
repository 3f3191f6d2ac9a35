"""Which contenders the words of --arms stand for."""

import pytest

from cmnas_tf import command_line, settings
from cmnas_tf.architecture import Architecture
from cmnas_tf.errors import BadInput
from cmnas_tf.studies.arms import SEARCHES, arms_of

RESNET18 = Architecture.shared("resnet18")


def test_stages_and_draws_are_arms_each():
    """Until the last stage is all separate, and within the stem is until the stem."""
    found = arms_of(("until", "within", "random"), RESNET18, draws=2)
    assert [(arm.name, arm.architecture, arm.draw, arm.row) for arm in found] == [
        ("until_stem", "until:stem", 0, "until_stem"),
        ("until_layer1", "until:layer1", 0, "until_layer1"),
        ("until_layer2", "until:layer2", 0, "until_layer2"),
        ("until_layer3", "until:layer3", 0, "until_layer3"),
        ("within_layer1", "within:layer1", 0, "within_layer1"),
        ("within_layer2", "within:layer2", 0, "within_layer2"),
        ("within_layer3", "within:layer3", 0, "within_layer3"),
        ("within_layer4", "within:layer4", 0, "within_layer4"),
        ("random_1", "", 1, "random"),
        ("random_2", "", 2, "random"),
    ]
    assert all(arm.flags is None for arm in found)


def test_an_architecture_of_a_file_is_named_by_the_file(tmp_path):
    RESNET18.save(tmp_path / "by_hand.json")
    file, word = arms_of((str(tmp_path / "by_hand.json"), "until:layer2"), RESNET18, draws=1)
    assert (file.name, file.architecture) == ("by_hand", str(tmp_path / "by_hand.json"))
    assert (word.name, word.architecture) == ("until_layer2", "until:layer2")


def test_no_arm_twice():
    with pytest.raises(BadInput, match=r"--arms=until,until:layer1 names until_layer1 twice"):
        arms_of(("until", "until:layer1"), RESNET18, draws=1)


@pytest.mark.parametrize("name", SEARCHES)
def test_each_search_differs_from_the_plain_one_in_what_its_name_says(name):
    expected = {
        "searched": {},
        "no_c3mmd": {"architecture_correlation_weight": 0.0, "architecture_mmd_weight": 0.0},
        "no_mmd": {"architecture_mmd_weight": 0.0},
        "no_correlation": {"architecture_correlation_weight": 0.0},
        "gumbel": {"relaxation": "gumbel"},
        "gdas": {"relaxation": "gdas"},
        "second_order": {"order": "second"},
        "by_identity": {"split": "identities"},
        "within_identity": {"split": "within_identity"},
        "batch_statistics": {"architecture_statistics": "batch"},
        "darts_cells": {"search_space": "darts_cells"},
        "classification": {"objective": "classification"},
    }[name]
    of_study = ("--split=identities",) if name == "within_identity" else ()
    plain, found = (
        settings.shaping_result(command_line.read(settings.Search, ["search", *of_study, *flags]))
        for flags in ((), SEARCHES[name])
    )
    assert {key: found[key] for key in plain if found[key] != plain[key]} == expected
