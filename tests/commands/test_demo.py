"""The demonstration, with stand-ins for the commands that it runs; with themselves, see
``tests/end_to_end/test_writers.py``."""

import json
import re
from pathlib import Path

import pytest

from cmnas_tf.architecture import Architecture
from cmnas_tf.commands import demo
from cmnas_tf.commands.demo import Demo
from cmnas_tf.runs.run_folder import RunFolder

CHANCE = {"all_single_shot": {"rank1": 0.125, "mAP": 0.0625}}
MEAN_APS = {"0": 0.25, "1": 0.375, "2": 0.125}  # by seed; mean 0.25, deviation 0.125


@pytest.fixture
def asked(monkeypatch):
    """The names of the commands that are run, which write what the demonstration reads."""
    names, seeds = [], {}

    def stand_in(name, *arguments):
        names.append(name)
        given = dict(argument[2:].split("=", 1) for argument in arguments)
        if name == "train":
            Architecture.shared("resnet18").save(RunFolder(given["run_dir"]).architecture)
            seeds[given["run_dir"]] = given["seed"]
        if name == "evaluate":
            found = {"rank1": 0.5, "mAP": MEAN_APS[seeds[given["run_dir"]]]}
            content = {"results": {"all_single_shot": found}, "chance": CHANCE}
            RunFolder(given["run_dir"]).results.write_text(json.dumps(content))
        if name == "export":
            (Path(given["export_dir"]) / "1").mkdir(parents=True)

    monkeypatch.setattr(demo, "run_command", stand_in)
    return names


def test_everything_is_done_once(asked, tmp_path, capsys):
    """A second one exports no second version of the same."""
    command = Demo(run_dir=str(tmp_path))
    demo.main(command)
    assert asked == ["make_synthetic", "search", *9 * ["train", "evaluate"], "export"]
    said = capsys.readouterr().out
    assert re.search(r"^all separate +50\.0 ± 0\.0 +25\.0 ± 12\.5 ", said, re.M)
    assert re.search(r"^chance +12\.5 +6\.2\s*$", said, re.M)
    demo.main(command)
    assert asked.count("export") == 1
    assert f"exported before: {tmp_path / 'export'}" in capsys.readouterr().out


def test_a_single_training_of_each_has_no_scatter(asked, tmp_path, capsys):
    demo.main(Demo(run_dir=str(tmp_path), trainings=1))
    assert asked.count("train") == 3
    assert re.search(r"^all shared +50\.0 +25\.0 +stem", capsys.readouterr().out, re.M)


def test_after_the_last_seed_comes_the_first(asked, tmp_path, monkeypatch):
    monkeypatch.setitem(MEAN_APS, str(2**32 - 1), 0.25)
    demo.main(Demo(run_dir=str(tmp_path), seed=2**32 - 1, trainings=2))
    assert asked.count("train") == 6
