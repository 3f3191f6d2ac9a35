"""The cells of a study: their order, their settings, and what a finished one is worth."""

import json
from pathlib import Path

import pytest

from cmnas_tf.errors import BadInput
from cmnas_tf.files import write_json
from cmnas_tf.options import described
from cmnas_tf.studies.plan import Study, StudyCell
from cmnas_tf.studies.report import report
from tests.studies.small import finish, results, study

# What an earlier version, which had flags in flags, recorded of the first cell of `study`.
EARLIER = Path(__file__).parent / "earlier_cell.json"


def test_cells_go_seed_by_seed_the_subject_first_and_what_is_drawn_like_it_last(tmp_path):
    cells = study(tmp_path, arms=("random", "shared", "searched", "gumbel")).cells()
    names = ["searched", "gumbel", "shared", "random_1"]
    assert [cell.name for cell in cells] == [f"{n}/seed{seed}" for seed in (0, 1) for n in names]
    assert [cell.after.name for cell in cells if cell.after] == ["searched/seed0", "searched/seed1"]


def test_a_search_that_is_the_subjects_is_not_done_twice(tmp_path):
    """By which of the two splits the subject searches is a matter of its options."""
    arms = ("shared", "random", "searched", "by_identity", "within_identity")
    plan = study(tmp_path, arms=arms)
    assert (len(plan.arms), plan.like_subject) == (4, ("within_identity",))
    search = {"split": "identities"}
    plan = study(tmp_path, arms=arms, search=search)
    assert [arm.name for arm in plan.arms] == ["shared", "random_1", "searched", "within_identity"]
    assert plan.like_subject == ("by_identity",)
    assert "- With these flags `searched` is `by_identity` as well." in report(plan)
    with pytest.raises(BadInput, match=r"by_identity is among .* by_identity searches as searched"):
        study(tmp_path, arms=arms, search=search, against=("by_identity",))


def test_all_arms_have_the_same_recipe_data_and_seed(tmp_path):
    """But for the architecture; and the searches but for what their arm says."""
    cells = study(tmp_path, arms=("random", "shared", "searched", "gumbel")).of_seed(1)
    trains = [{**cell.settings["train"], "architecture": ""} for cell in cells]
    assert all(train == trains[0] for train in trains) and trains[0]["seed"] == 1
    searched, gumbel = (cell.settings["search"] for cell in cells[:2])
    assert {name for name in searched if searched[name] != gumbel[name]} == {"relaxation"}
    assert [cell.settings["search"] for cell in cells[2:]] == [None, None]
    assert {(cell.study.data.root, cell.trial) for cell in cells} == {("people", 1)}
    folder = tmp_path / "searched" / "seed1"
    assert (cells[0].search_run.path, cells[0].train_run.path) == (
        folder / "search",
        folder / "train",
    )
    assert all(cell.study is cells[0].study for cell in cells)


def test_a_seed_takes_a_split_of_its_own_where_there_are_several(tmp_path):
    plan = study(tmp_path, data={"layout": "regdb", "trial": 9}, seeds=3)
    cells = [cell for cell in plan.cells() if cell.arm.name == "searched"]
    assert [cell.trial for cell in cells] == [9, 10, 1]
    for cell in cells:
        assert {part["trial"] for part in cell.settings.values()} == {cell.trial}
    plain = study(tmp_path, seeds=3)
    assert {cell.trial for cell in plain.cells()} == {1}


def test_quick(tmp_path):
    """Two seeds, the arms that are compared, a quarter of all that is counted in epochs."""
    plan = study(
        tmp_path,
        quick=True,
        arms=("shared", "until", "random", "searched"),
        seeds=5,
        train={"learning_rate_warmup": 1.0},
    )
    assert [arm.name for arm in plan.arms] == ["shared", "random_1", "searched"]
    assert {cell.seed for cell in plan.cells()} == {0, 1}
    cell = plan.cells()[0]
    search, recipe = cell.searching.algorithm.make(), cell.training.recipe
    assert (search.epochs, search.warmup_epochs) == (2, 1)
    assert search.optimizer.decay_epochs == (10.0, 17.5)
    assert recipe.epochs == 3
    assert recipe.optimizer.decay_epochs == (1.0, 2.0)
    assert recipe.optimizer.learning_rate_warmup == 0.25


def test_quick_changes_nothing_else(tmp_path):
    """What is counted in epochs, and what follows from the images stays so."""
    given = {
        "arms": ("shared", "searched"),
        "against": ("shared",),
        "data": {"layout": "market1501"},
    }
    whole, quick = (study(tmp_path, quick=quick, **given).cells()[0] for quick in (False, True))
    counted = {"epochs", "warmup_epochs", "learning_rate_warmup", "decay_epochs"}
    for part, settings in whole.settings.items():
        other = quick.settings[part]
        assert {name for name in settings if settings[name] != other[name]} <= counted
        assert settings.keys() == other.keys()


def test_what_is_given_for_one_arm_means_nothing_to_the_others(tmp_path):
    """The number of candidates is the random search's; without such an arm it is refused."""
    search = {"candidates": 4, "relaxation": "gumbel"}
    arms = ("searched", "random_search")
    for quick, each in ((False, 4), (True, 1)):
        plan = study(tmp_path, search=search, arms=arms, against=("random_search",), quick=quick)
        darts, drawn = (cell.searching.algorithm.make() for cell in plan.of_seed(0))
        assert (darts.relaxation, drawn.candidates, drawn.epochs_each) == ("gumbel", 4, each)
    with pytest.raises(
        BadInput, match=r"search\.candidates=4 means nothing to search\.algorithm=darts"
    ):
        study(tmp_path, search=search, arms=("searched",), against=())


def test_a_finished_cell_is_one_of_these_settings(tmp_path):
    cell = study(tmp_path).cells()[0]
    assert cell.results() is None
    finish(cell)
    assert cell.results()["results"]["all_single_shot"]["mAP"] == 0.5
    other = study(tmp_path, train={"margin": 0.3}).cells()[0]
    with pytest.raises(BadInput, match=r"train: margin=0\.4 then, 0\.3 now"):
        other.results()


def earlier(cell, **changes):
    """A cell that an earlier version finished; ``changes`` are what it recorded otherwise, None
    what it did not record."""
    settings = json.loads(EARLIER.read_text())
    for name, value in changes.items():
        part, _, option = name.partition("__")
        settings[part][option] = value
        if value is None:
            del settings[part][option]
    write_json(cell.results_file, {**results(cell), "settings": settings})


def test_a_cell_that_an_earlier_version_finished_is_finished(tmp_path):
    """It recorded the options of all spaces, of no algorithm but one, and of fewer losses."""
    cell = study(tmp_path).cells()[0]
    recorded, now = json.loads(EARLIER.read_text()), cell.settings
    assert "algorithm" not in recorded["search"] and "algorithm" in now["search"]
    assert "hetero_center_weight" not in recorded["train"]
    assert "skip_unreadable" in recorded["evaluate"] and "skip_unreadable" not in now["evaluate"]
    earlier(cell)
    assert cell.results() is not None
    earlier(cell, search__skip_unreadable=True, train__margin=None)
    assert cell.results() is not None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"search__epochs": 9}, r"search: epochs=9 then, 8 now"),
        ({"train__width": 1.0}, r"train: width=1\.0 then, 0\.0625 now"),
        ({"evaluate__rerank": True}, r"evaluate: rerank=True then, False now"),
        ({"search__relaxation": "gumbel"}, r"search: relaxation='gumbel' then, 'softmax' now"),
        ({"train__eras": 3}, r"train: eras=3 then, not known now"),
    ],
)
def test_what_an_earlier_version_did_otherwise_is_named(tmp_path, changes, said):
    cell = study(tmp_path).cells()[0]
    earlier(cell, **changes)
    with pytest.raises(BadInput, match=said):
        cell.results()


def test_a_cell_that_did_not_search_is_none_that_does(tmp_path):
    cell = study(tmp_path).cells()[0]
    settings = {**cell.settings, "search": None}
    write_json(cell.results_file, {**results(cell), "settings": settings})
    with pytest.raises(BadInput, match="search: only done now"):
        cell.results()
    other = study(tmp_path).cell("shared/seed0")
    settings = {**other.settings, "search": cell.settings["search"]}
    write_json(other.results_file, {**results(other), "settings": settings})
    with pytest.raises(BadInput, match="search: not done now"):
        other.results()


def test_settings_survive_the_file(tmp_path):
    """JSON has no tuples: what is compared with it must not have them either."""
    cell = study(tmp_path).cells()[0]
    assert json.loads(json.dumps(cell.settings)) == cell.settings


def test_where_images_lie_and_what_shows_progress_makes_no_other_cell(tmp_path):
    cell = study(tmp_path).cells()[0]
    finish(cell)
    shown = {"progress": False, "cache": "decoded", "checkpoint_every": "10m"}
    moved = study(tmp_path, data={"root": "elsewhere"}, train=shown, search=shown)
    assert moved.cells()[0].results() is not None


def test_losses_between_modalities_are_no_part_of_cells_of_one(tmp_path):
    """As the data set's authors count its images, and as the searches take them; but for weights
    that are given."""
    between = ("correlation_weight", "mmd_weight")

    def weights(part, **given):
        settings = study(tmp_path, **given).cells()[0].settings[part]
        return [settings[name] for name in between]

    market = {"data": {"layout": "market1501"}}
    assert weights("train") == weights("search") == [5.0, 0.05]
    assert weights("train", **market) == weights("search", **market) == [0.0, 0.0]
    visible = {"search": {"modality": "visible"}}
    assert (weights("search", **visible), weights("train", **visible)) == ([0.0, 0.0], [5.0, 0.05])
    assert weights("train", **market, train={"mmd_weight": 1.0}) == [0.0, 1.0]
    own = {"data": {"layout": "own_images"}}  # nobody said what they are
    assert weights("train", **own) == weights("search", **own) == [5.0, 0.05]
    searched = study(tmp_path, **market).settings["search"]
    assert searched["architecture_mmd_weight"] == searched["mmd_weight"] == 0.0


@pytest.mark.parametrize(
    "given, message",
    [
        ({"subject": "shared"}, r"subject=shared .* must be a search among arms=shared,random,"),
        ({"subject": "gumbel"}, r"^subject=gumbel must be one among"),
        ({"against": ("separate",)}, r"^against=separate: no arm separate is among arms="),
        ({"arms": ("searched", "shared", "nowhere")}, r"No architecture file nowhere"),
        ({"arms": ("searched", "shared", "within:layer9")}, r"No stage 'layer9'"),
        (
            {"search": {"warmup_epochs": 8}},
            r"^search\.warmup_epochs=8 leaves no epoch of search\.epochs=8",
        ),
        (
            {"search": {"candidates": 5}},
            r"^search\.candidates=5 means nothing to search\.alg.*=darts",
        ),
        ({"search": {"cells": (1,)}}, r"resnet18"),
        (
            {"search": {"search_space": "reid_cells"}},
            r"^search\.backbone=resnet18 means nothing to",
        ),
        ({"train": {"backbone": "resnet20"}}, r"resnet20"),
    ],
)
def test_what_is_wrong_with_an_arm_is_said_before_any_begins(tmp_path, given, message):
    with pytest.raises(BadInput, match=message):
        study(tmp_path, **{"against": ("shared",), **given})


def test_a_cell_is_found_by_its_name(tmp_path):
    plan = study(tmp_path)
    assert plan.cell("random_1/seed1").folder == tmp_path / "random_1" / "seed1"
    with pytest.raises(BadInput, match=r"^cell=random_2/seed0: no such cell; `dry_run` lists"):
        plan.cell("random_2/seed0")


def test_every_setting_of_a_cell_shapes_its_results_file(tmp_path):
    """All that a result could follow from of the three parts, and nothing besides."""
    made = study(tmp_path)
    cell = made.cells()[0]
    data = {"dataset": "sysu_mm01", "trial": 1}
    algorithm, space = cell.searching.algorithm.make(), cell.searching.space.make()
    assert cell.settings == {
        "search": {
            **described([space, algorithm, cell.searching.modality]),
            **data,
            "seed": 0,
            "search_space": "norm",
            "algorithm": "darts",
        },
        "train": {**described([cell.training]), **data, "seed": 0},
        "evaluate": {**described([cell.study.evaluating]), **data, "weights": "average"},
    }
    assert made.cell("shared/seed0").settings["search"] is None
    assert made.cell("shared/seed0").settings["search"] is None
    assert cell.results_file == cell.folder / "results.json"
    assert {"strategy", "progress", "cache", "recipe"}.isdisjoint(cell.settings["train"])


def test_cells_and_studies_are_values(tmp_path):
    """Equal where they are made alike, and to be kept in sets."""
    one, other = study(tmp_path), study(tmp_path)
    assert isinstance(one, Study) and one == other
    assert one.cells() == other.cells() and len({*one.cells(), *other.cells()}) == 6
    assert all(isinstance(cell, StudyCell) for cell in one.cells())
    assert study(tmp_path, train={"margin": 0.3}) != one


def test_a_study_of_hand_drawn_networks_alone(tmp_path):
    """Nobody searches; what is said of searches is for nobody, and is not refused."""
    made = study(tmp_path, arms=("shared", "until"), subject="until_layer1", against=("shared",))
    names = ["until_layer1", "shared", *(f"until_{s}" for s in ("stem", "layer2", "layer3"))]
    assert [cell.arm.name for cell in made.of_seed(0)] == names
    assert not made.like_subject
    assert all(cell.settings["search"] is None for cell in made.cells())
    with pytest.raises(BadInput, match=r"subject=until_layer1 finds no architecture that random"):
        study(tmp_path, arms=("until", "random"), subject="until_layer1", against=())
