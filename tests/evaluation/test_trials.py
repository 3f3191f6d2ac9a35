"""Several trials: which are finished, by what lies on disk, and what they come to."""

import dataclasses
import json

import numpy as np
import pytest

from cmnas_tf import settings, trials
from cmnas_tf.errors import BadInput
from cmnas_tf.evaluation.trials import TrialRun, summarise, trials_of
from cmnas_tf.files import write_json
from cmnas_tf.runs import checkpoints
from tests.evaluation.records import record
from tests.tiny_people import write_people

LAST_STEP = 3 * (4 * 2 // 4 + 1)  # 3 epochs; 4 people with 2 images each in batches of 2 x 2


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """RegDB with 4 + 4 people and ten trials; not to be changed."""
    root = tmp_path_factory.mktemp("data") / "regdb"
    return write_people(root, dataset="regdb", train_identities=4)


@pytest.fixture
def options(data, tmp_path):
    return settings.Trials(
        run=settings.Run(run_dir=str(tmp_path / "runs"), seed=5),
        data=settings.Data(data_dir=str(data), dataset="regdb"),
        batch=settings.Batch(identities_per_batch=2, images_per_identity=2),
        schedule=settings.TrainSchedule(epochs=3),
        matching=settings.Matching(flip_average=True),
        splits=settings.Splits(trials="1-3"),
    )


def finish(trial, step=LAST_STEP, changes=()):
    """What training and evaluation leave, as far as it is looked at."""
    folder = trial.results_file.parent
    path = folder / "checkpoints" / f"step-{step:08d}.safetensors"
    checkpoints.write(path, step, {"network/x": np.full(2, trial.number, np.float32)}, {})
    content = {
        ("dataset", "fingerprint"): trial.dataset.fingerprint,
        ("checkpoint", "step"): step,
        ("checkpoint", "sha256"): checkpoints.read(path).digest,
        ("training", "settings"): settings.shaping_result(trial.train),
        ("evaluation", "settings"): settings.shaping_result(trial.evaluate),
        **dict(changes),
    }
    write_json(trial.results_file, record(content))


def test_each_trial_has_a_folder_and_the_settings_of_all(options, tmp_path):
    found = trials_of(options)
    assert [trial.number for trial in found] == [1, 2, 3]
    assert len({trial.dataset.fingerprint for trial in found}) == 3
    for trial in found:
        folder = tmp_path / "runs" / f"trial_{trial.number:02d}"
        assert trial.results_file == folder / "results.json"
        assert trial.train.run == settings.Run(run_dir=str(folder), seed=5)
        assert trial.evaluate.run == settings.RunFolder(run_dir=str(folder))
        assert trial.train.data == trial.evaluate.data
        assert trial.train.data == dataclasses.replace(options.data, trial=trial.number)
        assert (trial.train.batch, trial.train.schedule) == (options.batch, options.schedule)
        assert trial.evaluate.matching == options.matching


@pytest.mark.parametrize(
    ("words", "numbers"),
    [("all", range(1, 11)), ("7", [7]), ("1-3,7", [1, 2, 3, 7]), ("9, 2-3,3-4", [2, 3, 4, 9])],
)
def test_trials_that_are_named(options, words, numbers):
    named = dataclasses.replace(options, splits=settings.Splits(words))
    assert [trial.number for trial in trials_of(named)] == list(numbers)


@pytest.mark.parametrize("words", ["11", "0", "1-11", "3-1", "", "1,,2", "one", "-1", "1-"])
def test_trials_that_do_not_exist(options, words):
    named = dataclasses.replace(options, splits=settings.Splits(words))
    with pytest.raises(BadInput, match=rf"--trials={words}: there are trials 1 to 10"):
        trials_of(named)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": settings.Data(dataset="sysu_mm01")}, "SYSU-MM01 comes with a single split"),
        ({"data": settings.Data(dataset="regdb", trial=2)}, r"--trial=2 .*give --trials=2"),
        ({"run": settings.Run()}, "--run_dir is empty"),
    ],
)
def test_what_is_refused_before_anything_runs(options, changes, message):
    with pytest.raises(BadInput, match=message):
        trials_of(dataclasses.replace(options, **changes))


def test_images_that_are_missing_are_known_before_the_first_training(options, tmp_path):
    data = dataclasses.replace(options.data, data_dir=str(tmp_path / "none"))
    with pytest.raises(BadInput, match="none does not exist"):
        trials_of(dataclasses.replace(options, data=data))


@pytest.fixture
def trial(options):
    return TrialRun.of(options, 2)


def test_a_finished_trial(trial):
    assert trial.results() is None and not trial.is_finished()
    finish(trial)
    assert trial.results()["checkpoint"]["step"] == LAST_STEP
    assert trial.is_finished()


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("training", "settings"), {"seed": 5}),
        (("evaluation", "settings"), {"flip_average": True}),
        (("checkpoint", "sha256"), "0" * 64),
        (("dataset", "fingerprint"), "0" * 64),
        (("schema",), 0),
    ],
)
def test_results_of_something_else(trial, place, value):
    finish(trial, changes={place: value})
    assert trial.results() is None and not trial.is_finished()


def test_results_of_a_training_that_went_on(trial):
    """They were of an earlier checkpoint than the newest there is now."""
    finish(trial, step=3)
    assert trial.results() is not None and not trial.is_finished()
    path = trial.results_file.parent / "checkpoints" / "step-00000006.safetensors"
    checkpoints.write(path, 6, {}, {})
    assert trial.results() is None


def test_results_whose_checkpoint_is_gone_or_damaged(trial):
    finish(trial)
    (path,) = (trial.results_file.parent / "checkpoints").iterdir()
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


def test_mean_and_spread(options, tmp_path):
    """Rank-1 of 0.2, 0.4 and 0.9: mean 0.5, deviations -0.3, -0.1 and 0.4, so that the sample's
    standard deviation is the root of (0.09 + 0.01 + 0.16) / 2 = 0.13, which is 0.360555."""
    found = trials_of(options)
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


def test_the_command_does_what_is_not_done(options, monkeypatch, capsys):
    """Trial 1 is finished; 2 was trained and not evaluated; 3 was evaluated half-way, and is
    finished by its training, but its results are then old."""
    one, two, three = trials_of(options)
    finish(one)
    finish(two)
    two.results_file.unlink()
    finish(three, step=3)
    ran = []

    def run(module, *flags):
        ran.append((module, next(f for f in flags if f.startswith("--run_dir"))[-2:]))
        trial = {"02": two, "03": three}[ran[-1][1]]
        if module == "cmnas_tf.evaluate":
            finish(trial)
        elif trial is three:
            path = trial.results_file.parent / "checkpoints" / f"step-{LAST_STEP:08d}.safetensors"
            checkpoints.write(path, LAST_STEP, {}, {})

    monkeypatch.setattr(trials, "run_command", run)
    trials.main(options)
    everything = [("cmnas_tf.train", "02"), ("cmnas_tf.evaluate", "02")]
    everything += [("cmnas_tf.train", "03"), ("cmnas_tf.evaluate", "03")]
    assert ran == everything
    shown = capsys.readouterr().out
    assert "trial 1 (1 of 3)\nfinished before: " in shown
    assert "trials.json" in shown

    ran.clear()
    trials.main(options)
    assert ran == []
    assert capsys.readouterr().out.count("finished before") == 3
