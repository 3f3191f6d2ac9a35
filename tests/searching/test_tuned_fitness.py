"""What ``python -m benchmarks.tuned_fitness`` says of a search."""

import json
import sys

import pytest

from benchmarks import tuned_fitness
from cmnas_tf.runs.run_folder import RunFolder
from cmnas_tf.searching import Darts
from tests.searching.small import SMALL, find


@pytest.mark.slow
def test_without_an_epoch_of_its_own_it_is_what_the_search_measured(
    eight_people, one_block, tmp_path, monkeypatch, capsys
):
    algorithm = Darts(epochs=2, warmup_epochs=1).with_values(
        split="identities", selection="stages", **SMALL
    )
    run, output = RunFolder(tmp_path / "run"), tmp_path / "tuned.json"
    find(eight_people, algorithm, run.path)
    arguments = {"run_dir": run.path, "data_dir": eight_people.root, "output": output}
    words = ["tuned_fitness", *(f"--{k}={v}" for k, v in arguments.items()), "--epochs=1,0"]
    monkeypatch.setattr(sys, "argv", words)
    tuned_fitness.main()
    found = json.loads(output.read_text())
    measured = [each["fitness"]["mean_ap"] for each in json.loads(run.fitness.read_text())]
    # The epoch before leaves nothing behind.
    assert [of["0"] for of in found.values()] == measured
    assert all(0 < of["1"] <= 1 for of in found.values())
    assert any(of["1"] != of["0"] for of in found.values())
    assert "within:layer1" in capsys.readouterr().out
