"""Which contenders the words of the option ``arms`` stand for."""

import pytest

from cmnas_tf.architecture import Architecture
from cmnas_tf.errors import BadInput
from cmnas_tf.losses import LOSSES
from cmnas_tf.studies.arms import arms_of, searches
from tests.studies.small import study


def test_stages_and_draws_are_arms_each():
    """Until the last stage is all separate, and within the stem is until the stem."""
    found = arms_of(("until", "within", "random"), "resnet18", draws=2)
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
    assert all(arm.changes is None for arm in found)


def test_an_architecture_of_a_file_is_named_by_the_file(tmp_path):
    Architecture.shared("resnet18").save(tmp_path / "by_hand.json")
    file, word = arms_of((str(tmp_path / "by_hand.json"), "until:layer2"), "resnet18", draws=1)
    assert (file.name, file.architecture) == ("by_hand", str(tmp_path / "by_hand.json"))
    assert (word.name, word.architecture) == ("until_layer2", "until:layer2")


def test_no_arm_twice():
    with pytest.raises(BadInput, match=r"^arms=until,until:layer1 names until_layer1 twice"):
        arms_of(("until", "until:layer1"), "resnet18", draws=1)


DIFFERENCES = {
    "searched": {},
    "no_c3mmd": {"architecture_correlation_weight": 0.0, "architecture_mmd_weight": 0.0},
    "no_mmd": {"architecture_mmd_weight": 0.0},
    "no_correlation": {"architecture_correlation_weight": 0.0},
    "no_triplet": {"architecture_triplet_weight": 0.0},
    "no_cross_entropy": {"architecture_cross_entropy_weight": 0.0},
    # Without a weight by default:
    "no_hetero_center": {},
    "no_weighted_triplet": {},
    "no_center": {},
    "gumbel": {"relaxation": "gumbel"},
    "gdas": {"relaxation": "gdas"},
    "second_order": {"order": "second"},
    "by_identity": {"split": "identities"},
    "within_identity": {"split": "within_identity"},
    "batch_statistics": {"architecture_statistics": "batch"},
    "classification": {"objective": "classification"},
    "darts_cells": {"search_space": "darts_cells"},
    "one_shot": {"algorithm": "one_shot", "split": "identities"},
    "random_search": {"algorithm": "random"},
    "by_logits": {},  # as by default
    "by_stages": {"selection": "stages"},
    "by_perturbation": {"selection": "perturbation"},
    "by_evolution": {"selection": "evolution"},
}


def test_every_search_is_here():
    assert set(searches()) == set(DIFFERENCES)
    assert {f"no_{loss}" for loss in LOSSES} < set(DIFFERENCES)


@pytest.mark.parametrize("name", DIFFERENCES)
def test_each_search_differs_from_the_plain_one_in_what_its_name_says(tmp_path, name):
    """Of the options that both have: another algorithm has others besides."""
    plain = {
        "within_identity": {"split": "identities"},
        "darts_cells": {"search_space": "reid_cells", "backbone": None},
    }.get(name, {})
    arms = tuple(dict.fromkeys(("searched", name)))
    plan = study(tmp_path, search=plain, arms=arms, against=())
    found = {cell.arm.name: cell.settings["search"] for cell in plan.of_seed(0)}
    one, other = found["searched"], found.get(name, found["searched"])
    both = one.keys() & other.keys()
    differing = {key: other[key] for key in both if other[key] != one[key]}
    if name == "one_shot":
        assert differing.pop("selection") == "evolution"  # of its own, by default
    assert differing == DIFFERENCES[name]
    assert (one.keys() == other.keys()) == (name not in ("random_search", "one_shot"))
