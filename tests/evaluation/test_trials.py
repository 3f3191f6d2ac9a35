"""Several trials: which are finished, by what lies on disk, and what they come to."""

import dataclasses
import json

import numpy as np
import pytest

from cmnas_tf.architecture import Architecture
from cmnas_tf.data import LAYOUTS, load_dataset
from cmnas_tf.data.regdb import RegdbProtocol
from cmnas_tf.data.sampling import Sampling
from cmnas_tf.errors import BadInput
from cmnas_tf.evaluation.matching import Matching
from cmnas_tf.evaluation.trials import TrialRun, numbers_of, summarise
from cmnas_tf.files import write_json
from cmnas_tf.runs import checkpoints
from cmnas_tf.search_spaces.named_architecture import NetworkChoice
from cmnas_tf.training.recipe import Recipe
from tests.evaluation.records import record
from tests.tiny_people import write_people

LAST_STEP = 3 * (4 * 2 // 4 + 1)  # 3 epochs; 4 people with 2 images each in batches of 2 x 2


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """RegDB with 4 + 4 people and ten trials; not to be changed."""
    root = tmp_path_factory.mktemp("data") / "regdb"
    return write_people(root, dataset="regdb", train_identities=4)


@pytest.fixture
def trial_of(data, tmp_path):
    """Makes a trial of three epochs, with some of its components otherwise."""

    def make(number, **changes):
        parts = {
            "dataset": load_dataset("regdb", data, number),
            "network": NetworkChoice(backbone="resnet18"),
            "recipe": Recipe(
                sampling=Sampling(identities_per_batch=2, images_per_identity=2), epochs=3
            ),
            "seed": 5,
            "protocol": RegdbProtocol(),
            "matching": Matching(flip_average=True),
        }
        return TrialRun(number, tmp_path / f"trial_{number:02d}", *{**parts, **changes}.values())

    return make


def finish(trial, step=LAST_STEP, changes=()):
    """What training and evaluation leave, as far as it is looked at."""
    run = trial.run
    path = run.checkpoint_folder / f"step-{step:08d}.safetensors"
    checkpoints.write(path, step, {"network/x": np.full(2, trial.number, np.float32)}, {})
    trial.architecture.save(run.architecture)
    content = {
        ("dataset", "fingerprint"): trial.dataset.fingerprint,
        ("checkpoint", "step"): step,
        ("checkpoint", "sha256"): checkpoints.read(path).digest,
        ("training", "settings"): trial.training,
        ("evaluation", "settings"): trial.evaluation,
        **dict(changes),
    }
    write_json(run.results, record(content))


def test_what_a_trial_is_of(trial_of, tmp_path):
    """All that its results follow from is in what is recorded of a training and an evaluation."""
    trial = trial_of(2)
    assert (trial.number, trial.run.path) == (2, tmp_path / "trial_02")
    assert (trial.training["trial"], trial.training["seed"], trial.training["epochs"]) == (2, 5, 3)
    assert (trial.training["width"], trial.training["last_stride"]) == (1.0, 1)
    assert trial.evaluation["flip_average"] is True and trial.evaluation["trial"] == 2
    assert (trial.evaluation["weights"], trial.evaluation["precision"]) == ("average", "float32")
    assert trial.architecture == Architecture.shared("resnet18")
    assert trial_of(3).dataset.fingerprint != trial.dataset.fingerprint


@pytest.mark.parametrize(
    ("words", "numbers"),
    [("all", range(1, 11)), ("7", [7]), ("1-3,7", [1, 2, 3, 7]), ("9, 2-3,3-4", [2, 3, 4, 9])],
)
def test_trials_that_are_named(words, numbers):
    assert numbers_of(words, "regdb") == list(numbers)


@pytest.mark.parametrize("words", ["11", "0", "1-11", "3-1", "", "1,,2", "one", "-1", "1-"])
def test_trials_that_do_not_exist(words):
    with pytest.raises(BadInput, match=rf"^splits={words}: there are trials 1 to 10"):
        numbers_of(words, "regdb")


def test_a_data_set_with_a_single_split_has_none():
    for name, layout in LAYOUTS.items():
        if layout.trials == 1:
            with pytest.raises(BadInput, match=r"comes with a single split.*`train_network`"):
                numbers_of("all", name)
        else:
            assert numbers_of("all", name) == list(range(1, layout.trials + 1))


@pytest.fixture
def trial(trial_of):
    return trial_of(2)


def test_a_finished_trial(trial):
    assert trial.results() is None and not trial.is_finished()
    finish(trial)
    assert trial.results()["checkpoint"]["step"] == LAST_STEP
    assert trial.is_finished()


def test_a_training_that_left_out_images_is_finished_after_the_steps_that_it_planned(trial):
    """Held-out people and unreadable images make fewer steps than all images would."""
    finish(trial, step=6, changes={("training", "planned_steps"): 6})
    assert trial.is_finished()
    finish(trial, step=LAST_STEP, changes={("training", "planned_steps"): LAST_STEP + 3})
    assert not trial.is_finished()


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("training", "settings"), {}),
        (("training", "settings", "seed"), 6),
        (("training", "settings", "margin"), 0.3),
        (("training", "settings", "width"), 0.5),
        (("evaluation", "settings"), {}),
        (("evaluation", "settings", "direction"), "visible_to_infrared"),
        (("evaluation", "settings", "precision"), "bfloat16"),
        (("checkpoint", "sha256"), "0" * 64),
        (("dataset", "fingerprint"), "0" * 64),
        (("schema",), 0),
    ],
)
def test_results_of_something_else(trial, place, value):
    finish(trial)
    assert trial.is_finished()
    content = json.loads(trial.run.results.read_text())
    *way, last = place
    inner = content
    for key in way:
        inner = inner[key]
    inner[last] = value
    write_json(trial.run.results, content)
    assert trial.results() is None and not trial.is_finished()


def test_results_of_another_architecture(trial):
    """The run's folder says which it is of."""
    finish(trial)
    Architecture.separate("resnet18").save(trial.run.architecture)
    assert trial.results() is None


def test_results_of_an_earlier_version(trial):
    """It recorded where things lay, too, and knew fewer losses."""
    others = {
        "architecture": "shared",
        "backbone": "resnet18",
        "cells": [],
        "skip_unreadable": False,
    }
    training = {**trial.training, **others}
    assert training.pop("hetero_center_weight") == 0.0
    evaluation = {**trial.evaluation, "checkpoint": "", "skip_unreadable": False}
    changes = {("training", "settings"): training, ("evaluation", "settings"): evaluation}
    finish(trial, changes=changes)
    assert trial.is_finished()


def test_of_images_of_one_modality_nothing_is_said_of_losses_between_two(trial_of, data):
    """As the training itself records it."""
    visible = load_dataset("regdb", data, 1).of_modality("visible")
    found = trial_of(1, dataset=visible).training
    assert (found["correlation_weight"], found["mmd_weight"]) == (0.0, 0.0)
    assert trial_of(1).training["correlation_weight"] == 5.0


def test_results_of_a_training_that_was_resumed(trial):
    """They were of an earlier checkpoint than the newest there is now."""
    finish(trial, step=3)
    assert trial.results() is not None and not trial.is_finished()
    path = trial.run.checkpoint_folder / "step-00000006.safetensors"
    checkpoints.write(path, 6, {}, {})
    assert trial.results() is None


def test_results_whose_checkpoint_is_gone_or_damaged(trial):
    finish(trial)
    (path,) = trial.run.checkpoints().paths()
    path.write_bytes(path.read_bytes()[:9])
    assert trial.results() is None
    path.unlink()
    assert trial.results() is None


def test_results_that_leave_out_unreadable_images(trial):
    """Their fingerprint is that of the images that were read."""
    test = trial.dataset.test
    kept = dataclasses.replace(trial.dataset, test=test[1:])
    changes = {("dataset", "left_out"): [test.paths[0]]}
    finish(trial, changes=changes)
    assert trial.results() is None
    finish(trial, changes={**changes, ("dataset", "fingerprint"): kept.fingerprint})
    assert trial.is_finished()


def test_mean_and_spread(trial_of, tmp_path):
    """Rank-1 of 0.2, 0.4 and 0.9: mean 0.5, deviations -0.3, -0.1 and 0.4, so that the sample's
    standard deviation is the root of (0.09 + 0.01 + 0.16) / 2 = 0.13, which is 0.360555."""
    found = [trial_of(number) for number in (1, 2, 3)]
    for trial, rank1 in zip(found, (0.2, 0.4, 0.9), strict=True):
        finish(trial, changes={("results", "infrared_to_visible", "rank1"): rank1})
    shown = summarise(found, tmp_path / "trials.json")
    written = json.loads((tmp_path / "trials.json").read_text())
    assert written["layout"] == "regdb"
    assert list(written["checkpoints"]) == ["1", "2", "3"]
    measured = written["results"]["infrared_to_visible"]
    assert [trial["rank1"] for trial in measured["trials"].values()] == [0.2, 0.4, 0.9]
    assert measured["mean"]["rank1"] == pytest.approx(0.5)
    assert measured["sample_standard_deviation"]["rank1"] == pytest.approx(0.13**0.5)
    assert measured["sample_standard_deviation"]["mAP"] == 0
    visible, infrared, last = shown.split("\n\n")
    assert visible.startswith("visible_to_infrared  ")
    assert infrared.splitlines()[2:] == [
        "trial 1                              20.00   50.00    60.00    70.00  35.00  20.00",
        "trial 2                              40.00   50.00    60.00    70.00  35.00  20.00",
        "trial 3                              90.00   50.00    60.00    70.00  35.00  20.00",
        "mean                                 50.00   50.00    60.00    70.00  35.00  20.00",
        "standard deviation (sample, n - 1)   36.06    0.00     0.00     0.00   0.00   0.00",
    ]
    assert last == f"written to {tmp_path / 'trials.json'}"


def test_a_single_trial_has_no_spread(trial, tmp_path):
    finish(trial)
    assert "standard deviation" not in summarise([trial], tmp_path / "trials.json")
    written = json.loads((tmp_path / "trials.json").read_text())
    assert written["results"]["infrared_to_visible"]["sample_standard_deviation"] is None
