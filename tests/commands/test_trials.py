"""``cmnas trials``: which commands it comes to, and what of them is still to be done."""

import json
import subprocess

import numpy as np
import pytest

from cmnas_tf.commands import command_line, executor, trials
from cmnas_tf.commands.evaluate import Evaluate
from cmnas_tf.commands.train import Train
from cmnas_tf.commands.trials import Trials, trials_of
from cmnas_tf.data import load_dataset
from cmnas_tf.errors import BadInput
from cmnas_tf.runs import checkpoints
from tests.evaluation.test_trials import LAST_STEP, finish
from tests.tiny_people import write_people

SMALL = (
    *("--backbone=resnet18", "--identities_per_batch=2", "--images_per_identity=2", "--epochs=3"),
    *("--seed=5", "--flip_average", "--precision=bfloat16", "--direction=visible_to_infrared"),
    *("--cache=decoded", "--strategy=one_device", "--noprogress", "--recipe=cm_nas_regdb"),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """RegDB with 4 + 4 people and ten trials; not to be changed."""
    root = tmp_path_factory.mktemp("data") / "regdb"
    return write_people(root, dataset="regdb", train_identities=4)


@pytest.fixture
def command(data, tmp_path):
    """What flags give; the first three trials of a small training."""

    def read(*flags):
        where = (f"--data_dir={data}", f"--run_dir={tmp_path / 'runs'}", "--dataset=regdb")
        return command_line.read(Trials, ["trials", *where, "--splits=1-3", *SMALL, *flags])

    return read


def test_each_trial_has_a_folder_and_the_options_of_all(command, tmp_path, data):
    given = command()
    found = trials_of(given)
    assert [trial.number for trial, _, _ in found] == [1, 2, 3]
    assert len({trial.dataset.fingerprint for trial, _, _ in found}) == 3
    for trial, train, evaluate in found:
        folder = str(tmp_path / "runs" / f"trial_{trial.number:02d}")
        assert str(trial.run.path) == train.run.run_dir == evaluate.source.run_dir == folder
        assert (train.run.seed, train.data.trial) == (5, trial.number)
        assert train.data.values() == evaluate.data.values()
        assert train.data.data_dir == str(data)
        assert (train.network, train.recipe, train.how) == (given.network, given.recipe, given.how)
        assert train.recipe.average_decay == 0.968
        assert evaluate.matching == given.matching and evaluate.matching.flip_average
        assert evaluate.protocol.make("regdb").direction == "visible_to_infrared"
        assert evaluate.arithmetic.precision == "bfloat16"
        assert evaluate.devices.strategy == "one_device"
        assert evaluate.progress.progress is False
        assert trial.dataset.fingerprint == load_dataset("regdb", data, trial.number).fingerprint
        assert trial.evaluation["direction"] == "visible_to_infrared"
        assert trial.evaluation["precision"] == "bfloat16"


def test_its_commands_can_be_typed(command):
    """They read to what they were made of, and train what the trial is of."""
    for _, train, evaluate in trials_of(command()):
        for part, kind in ((train, Train), (evaluate, Evaluate)):
            assert command_line.read(kind, ["x", *command_line.arguments(part)]) == part


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--dataset=sysu_mm01"], "SYSU-MM01 comes with a single split"),
        (["--trial=2"], r"^trial=2 names a single trial; give splits=2"),
        (["--splits=11"], r"^splits=11: there are trials 1 to 10"),
        (["--data_dir=none"], "none does not exist"),
    ],
)
def test_what_is_refused_before_anything_runs(command, flags, message):
    with pytest.raises(BadInput, match=message):
        trials_of(command(*flags))


def test_it_does_what_is_not_done(command, monkeypatch, capsys):
    """Trial 1 is finished; 2 was trained and not evaluated; 3 was evaluated half-way, and is
    finished by its training, but its results are then old."""
    one, two, three = (trial for trial, _, _ in trials_of(command()))
    finish(one)
    finish(two)
    two.run.results.unlink()
    finish(three, step=3)
    ran = []

    def run(name, *flags):
        ran.append((name, next(f for f in flags if f.startswith("--run_dir"))[-2:]))
        trial = {"02": two, "03": three}[ran[-1][1]]
        if name == "evaluate":
            finish(trial)
        elif trial is three:
            path = trial.run.checkpoint_folder / f"step-{LAST_STEP:08d}.safetensors"
            checkpoints.write(path, LAST_STEP, {"network/x": np.zeros(2, np.float32)}, {})

    monkeypatch.setattr(trials, "run_command", run)
    trials.main(command())
    assert ran == [("train", "02"), ("evaluate", "02"), ("train", "03"), ("evaluate", "03")]
    shown = capsys.readouterr().out
    assert "trial 1 (1 of 3)\nfinished before: " in shown
    assert "trials.json" in shown

    ran.clear()
    trials.main(command())
    assert ran == []
    assert capsys.readouterr().out.count("finished before") == 3


def test_a_command_that_fails_ends_all(command, monkeypatch):
    """With its exit code; the next one is not begun."""
    ran = []

    def run(name, *flags):
        ran.append(name)
        raise SystemExit(3)

    monkeypatch.setattr(trials, "run_command", run)
    with pytest.raises(SystemExit) as ended:
        trials.main(command())
    assert (ended.value.code, ran) == (3, ["train"])


def test_side_by_side_each_trial_is_this_command_of_itself_alone(
    command, monkeypatch, capsys, tmp_path
):
    """Trial 1 is finished. Of the others one fails at first: there is no summary then, the other
    one is done, and the next call does what is missing."""
    one, *_ = found = [trial for trial, _, _ in trials_of(command())]
    finish(one)
    fails, asked = ["--splits=03"], []

    def start(name, *flags, output, environment):
        given = command_line.read(Trials, [name, *flags])
        asked.append((name, given.splits))
        assert not given.summary and given.executing.executor == "local"
        assert given.executing.jobs == 1 and given.threads.threads == 1
        assert given.recipe == command().recipe
        code = "error: no luck" if flags[-1] in fails else ""
        if not code:
            finish(found[int(given.splits) - 1])
        return subprocess.Popen(["bash", "-c", f"echo '{code}'; test -z '{code}'"], stdout=output)

    monkeypatch.setattr(executor, "start_command", start)
    with pytest.raises(SystemExit) as ended:
        trials.main(command("--jobs=2", "--threads=1"))
    assert ended.value.code == 1
    assert sorted(asked) == [("trials", "02"), ("trials", "03")]
    said, folder = capsys.readouterr().out, tmp_path / "runs"
    assert "3 cells, 1 finished before" in said
    assert "trial_03" in said and "FAILED: no luck" in said
    assert json.loads((folder / "trial_03.failure").read_text())["message"] == "no luck"
    assert not (folder / "trials.json").exists()

    fails.clear()
    trials.main(command("--jobs=2", "--threads=1"))
    assert asked[2:] == [("trials", "03")]
    assert not (folder / "trial_03.failure").exists()
    assert set(json.loads((folder / "trials.json").read_text())["checkpoints"]) == {"1", "2", "3"}


def test_without_a_summary(command, tmp_path, monkeypatch):
    monkeypatch.setattr(trials, "run_command", None)
    for trial, _, _ in trials_of(command()):
        finish(trial)
    trials.main(command("--nosummary"))
    assert not (tmp_path / "runs" / "trials.json").exists()
