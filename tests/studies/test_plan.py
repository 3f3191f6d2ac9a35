"""The cells of a study: their order, their settings, and what a finished one is worth."""

import dataclasses
import json

import pytest

from cmnas_tf import settings
from cmnas_tf.errors import BadInput
from cmnas_tf.studies.plan import RESULTS
from cmnas_tf.studies.report import report
from tests.studies.small import SEARCH, TRAIN, finish, study


def test_cells_go_seed_by_seed_the_subject_first_and_what_is_drawn_like_it_last(tmp_path):
    cells = study(tmp_path, arms=("random", "shared", "searched", "gumbel")).cells()
    names = ["searched", "gumbel", "shared", "random_1"]
    assert [cell.name for cell in cells] == [f"{n}/seed{seed}" for seed in (0, 1) for n in names]
    assert [cell.after.name for cell in cells if cell.after] == ["searched/seed0", "searched/seed1"]


def test_a_search_that_is_the_subjects_is_not_done_twice(tmp_path):
    """By which of the two splits the subject searches is a matter of the flags."""
    arms = ("shared", "random", "searched", "by_identity", "within_identity")
    plan = study(tmp_path, arms=arms)
    assert (len(plan.arms), plan.like_subject) == (4, ("within_identity",))
    recipes = {"search_flags": f"{SEARCH} --split=identities"}
    plan = study(tmp_path, arms=arms, recipes=recipes)
    assert [arm.name for arm in plan.arms] == ["shared", "random_1", "searched", "within_identity"]
    assert plan.like_subject == ("by_identity",)
    assert "- With these flags `searched` is `by_identity` as well." in report(plan)
    with pytest.raises(BadInput, match=r"by_identity is among .* by_identity searches as searched"):
        study(tmp_path, arms=arms, recipes=recipes, against=("by_identity",))


def test_all_arms_have_the_same_recipe_data_and_seed(tmp_path):
    """But for the architecture; and the searches but for what their arm says."""
    cells = study(tmp_path, arms=("random", "shared", "searched", "gumbel")).of_seed(1)
    trains = [{**cell.settings["train"], "architecture": ""} for cell in cells]
    assert all(train == trains[0] for train in trains) and trains[0]["seed"] == 1
    searched, gumbel = (cell.settings["search"] for cell in cells[:2])
    assert {name for name in searched if searched[name] != gumbel[name]} == {"relaxation"}
    assert [cell.settings["search"] for cell in cells[2:]] == [None, None]
    assert {cell.train.data.data_dir for cell in cells} == {"people"}
    assert cells[0].train.run.run_dir == str(tmp_path / "searched" / "seed1" / "train")
    assert cells[0].evaluate.run.run_dir == cells[0].train.run.run_dir


def test_a_seed_takes_a_split_of_its_own_where_there_are_several(tmp_path):
    plan = study(tmp_path, data={"dataset": "regdb", "trial": 9}, seeds=3)
    trials = [
        (c.search.data.trial, c.train.data.trial, c.evaluate.data.trial)
        for c in plan.cells()
        if c.arm.name == "searched"
    ]
    assert trials == [(9, 9, 9), (10, 10, 10), (1, 1, 1)]
    plain = study(tmp_path, seeds=3)
    assert {cell.train.data.trial for cell in plain.cells()} == {1}


def test_quick(tmp_path):
    """Two seeds, the arms that are compared, a quarter of all that is counted in epochs."""
    plan = study(
        tmp_path,
        queue={"quick": True},
        arms=("shared", "until", "random", "searched"),
        seeds=5,
        recipes={"train_flags": f"{TRAIN} --learning_rate_warmup=1"},
    )
    assert [arm.name for arm in plan.arms] == ["shared", "random_1", "searched"]
    assert {cell.seed for cell in plan.cells()} == {0, 1}
    cell = plan.cells()[0]
    assert (cell.search.schedule.epochs, cell.search.schedule.warmup_epochs) == (2, 1)
    assert cell.train.schedule.epochs == 3
    assert cell.train.optimizer.decay_epochs == (1.0, 2.0)
    assert cell.train.optimizer.learning_rate_warmup == 0.25


def test_a_finished_cell_is_one_of_these_settings(tmp_path):
    cell = study(tmp_path).cells()[0]
    assert cell.results() is None
    finish(cell)
    assert cell.results()["results"]["all_single_shot"]["mAP"] == 0.5
    other = study(tmp_path, recipes={"train_flags": f"{TRAIN} --margin=0.3"}).cells()[0]
    with pytest.raises(BadInput, match=r"--margin of train: 0\.4 then, 0\.3 now"):
        other.results()


def test_settings_survive_the_file(tmp_path):
    """JSON has no tuples: what is compared with it must not have them either."""
    cell = study(tmp_path).cells()[0]
    assert json.loads(json.dumps(cell.settings)) == cell.settings


def test_where_images_lie_and_what_shows_progress_makes_no_other_cell(tmp_path):
    cell = study(tmp_path).cells()[0]
    finish(cell)
    flags = f"{TRAIN} --noprogress --cache=decoded"
    moved = study(tmp_path, data={"data_dir": "elsewhere"}, recipes={"train_flags": flags})
    assert moved.cells()[0].results() is not None


@pytest.mark.parametrize(
    "given, message",
    [
        ({"subject": "shared"}, r"--subject=shared must be a search among --arms=shared,random,"),
        ({"subject": "gumbel"}, r"--subject=gumbel must be a search among"),
        ({"against": ("separate",)}, r"--against=separate: no arm separate is among --arms"),
        ({"arms": ("searched", "shared", "nowhere")}, r"No architecture file nowhere"),
        ({"arms": ("searched", "shared", "within:layer9")}, r"No stage 'layer9'"),
        ({"recipes": {"search_flags": "--epochs=many"}}, r"cmnas_tf.search --epochs=many .*many"),
        ({"recipes": {"train_flags": "--warmup_epochs=1"}}, r"cmnas_tf.train .*warmup_epochs"),
        ({"data": {"data_dir": ""}}, r"Give --run_dir=FOLDER .* and --data_dir=FOLDER"),
    ],
)
def test_what_is_wrong_with_an_arm_is_said_before_any_begins(tmp_path, given, message):
    with pytest.raises(BadInput, match=message):
        study(tmp_path, **{"against": ("shared",), **given})


def test_a_cell_is_found_by_its_name(tmp_path):
    plan = study(tmp_path)
    assert plan.cell("random_1/seed1").folder == tmp_path / "random_1" / "seed1"
    with pytest.raises(BadInput, match=r"--cell=random_2/seed0: no such cell; --dry_run lists"):
        plan.cell("random_2/seed0")


def test_every_setting_of_a_cell_shapes_its_results_file(tmp_path):
    """The three commands' own lists, and nothing besides."""
    cell = study(tmp_path).cells()[0]
    assert cell.settings == {
        "search": settings.shaping_result(cell.search),
        "train": settings.shaping_result(cell.train),
        "evaluate": settings.shaping_result(cell.evaluate),
    }
    assert dataclasses.replace(cell, search=None).settings["search"] is None
    assert (cell.folder / RESULTS).name == "results.json"
