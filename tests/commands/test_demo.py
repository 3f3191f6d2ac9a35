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

SCORES = {"all_single_shot": {"rank1": 0.5, "mAP": 0.25}}


@pytest.fixture
def asked(monkeypatch):
    """The names of the commands that are run, which write what the demonstration reads."""
    names = []

    def stand_in(name, *arguments):
        names.append(name)
        given = dict(argument[2:].split("=", 1) for argument in arguments)
        if name == "train":
            Architecture.shared("resnet18").save(RunFolder(given["run_dir"]).architecture)
        if name == "evaluate":
            content = {"results": SCORES, "chance": SCORES}
            RunFolder(given["run_dir"]).results.write_text(json.dumps(content))
        if name == "export":
            (Path(given["export_dir"]) / "1").mkdir(parents=True)

    monkeypatch.setattr(demo, "run_command", stand_in)
    return names


def test_everything_is_done_once(asked, tmp_path, capsys):
    """A second one exports no second version of the same."""
    command = Demo(run_dir=str(tmp_path))
    demo.main(command)
    assert asked == ["make_synthetic", "search", *3 * ["train", "evaluate"], "export"]
    assert re.search(r"^all separate +50\.0 +25\.0 ", capsys.readouterr().out, re.M)
    demo.main(command)
    assert asked.count("export") == 1
    assert f"exported before: {tmp_path / 'export'}" in capsys.readouterr().out
