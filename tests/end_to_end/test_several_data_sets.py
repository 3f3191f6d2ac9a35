"""A search and a training on two data sets at once, measured on each."""

import json

import pytest

from cmnas_tf.evaluation.compare import rows
from cmnas_tf.runs.checkpoints import Checkpoints
from tests.tiny_people import TINIEST, write_people
from tests.training.commands import Command, newest

pytestmark = pytest.mark.slow
WEIGHTS = "--dataset_weights=1,1"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """SYSU-MM01 with 8 people and RegDB with 4 to train on."""
    root = tmp_path_factory.mktemp("data")
    few = {"dataset": "regdb", "train_identities": 4, "seed": 1}
    return write_people(root / "sysu"), write_people(root / "regdb", **few)


@pytest.fixture(scope="module")
def both(folders):
    return f"--data_dir={folders[0]},{folders[1]}", "--dataset=sysu_mm01,regdb", "--trial=2"


@pytest.fixture(scope="module")
def run_dir(both, tmp_path_factory):
    """Trained for two epochs, on people of each as often as of the other."""
    log = tmp_path_factory.mktemp("run")
    told = done("train", *TINIEST, *both, WEIGHTS, f"--run_dir={log / 'run'}", log=log)
    assert "checkpoints in" in told
    return log / "run"


def told(code, command, *flags, log):
    flags = [*flags, "--epochs=2"] if command in ("train", "search") else flags
    found, output = Command(command, *flags, log=log / "log.txt").wait()
    assert found == code, output
    return output


def done(command, *flags, log):
    return told(0, command, *flags, log=log)


def test_the_run_says_what_it_was_trained_on(run_dir):
    settings = json.loads((run_dir / "run.json").read_text())["settings"]
    assert (settings["dataset"], settings["trial"]) == ("sysu_mm01,regdb", 2)
    assert settings["dataset_weights"] == [1.0, 1.0]
    checkpoint = newest(run_dir)
    people = checkpoint.metadata["people"]
    assert [name.split("/")[0] for name in people] == ["sysu_mm01"] * 8 + ["regdb"] * 4
    assert checkpoint.metadata["specification"]["num_classes"] == 12


def test_it_resumes_on_the_same_alone(both, folders, run_dir, tmp_path):
    """Cached or not; on other data it does not."""
    _, second = Checkpoints(run_dir / "checkpoints").paths()
    whole = newest(run_dir).digest
    second.unlink()
    given = f"--run_dir={run_dir}"
    for other, said in (
        ((f"--data_dir={folders[0]}", "--dataset=sysu_mm01"), "dataset='sysu_mm01,regdb' then"),
        ((*both[:2], WEIGHTS, "--trial=3"), "trial=2 then, 3 now"),
        (both, "dataset_weights=[1.0, 1.0] then, [] now"),
    ):
        assert said in told(2, "train", *TINIEST, *other, given, log=tmp_path)
    done("train", *TINIEST, *both, WEIGHTS, "--cache=decoded", given, log=tmp_path)
    assert newest(run_dir).digest == whole


def test_both_tests_are_in_one_table(folders, run_dir, tmp_path):
    given = (f"--run_dir={run_dir}", "--noprogress")
    done("evaluate", f"--data_dir={folders[0]}", *given, log=tmp_path)
    regdb = f"--data_dir={folders[1]}"
    assert "trained on trial 2 of regdb" in told(2, "evaluate", regdb, *given, log=tmp_path)
    done("evaluate", regdb, "--trial=2", *given, log=tmp_path)
    listed = rows([str(run_dir)])
    assert {"sysu_mm01", "regdb, trial 2"} <= {word for row in listed for word in row}


def test_a_search_finds_one_architecture_for_both(both, tmp_path):
    flags = ("--warmup_epochs=1", "--split=identities", "--identities_per_batch=2", WEIGHTS)
    found = tmp_path / "search"
    done("search", *TINIEST, *both, *flags, f"--run_dir={found}", log=tmp_path)
    assert (found / "architecture.json").is_file()


def test_people_of_both_are_held_out(both, tmp_path):
    flags = ("--measure_every=1", "--held_out=0.4", WEIGHTS, f"--run_dir={tmp_path / 'run'}")
    done("train", *TINIEST, *both, *flags, log=tmp_path)
    assert newest(tmp_path / "run").metadata["specification"]["num_classes"] == 7


def test_what_cannot_be_trained_on(both, folders, tmp_path):
    run = f"--run_dir={tmp_path / 'run'}"
    one, other = folders
    for flags, said in (
        ((both[0], "--dataset=regdb"), "--dataset=regdb must name one for each folder"),
        ((both[0], "--dataset=sysu_mm01,regbd"), "Did you mean"),
        ((f"--data_dir={one},{one}",), "is given twice"),
        ((f"--data_dir={one},{other}/none",), "does not exist"),
        ((*both, "--measure_every=1", "--measure_on=test"), "quer"),
        ((*both, "--dataset_weights=1,2,3"), "--dataset_weights=(1.0, 2.0, 3.0) must be for"),
        ((*both, "--dataset_weights=1,0"), "--dataset_weights=(1.0, 0.0) is out of range"),
    ):
        assert said in told(2, "train", *TINIEST, *flags, run, log=tmp_path)
        assert not (tmp_path / "run").exists()
    assert "does not exist" in told(2, "evaluate", both[0], run, log=tmp_path)
    assert "sysu_mm01,regdb" in told(2, "trials", *TINIEST, *both[:2], run, log=tmp_path)
