"""What ``python -m benchmarks.logit_pull`` says of a search."""

import json
import sys

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import logit_pull
from cmnas_tf.runs.how_it_runs import Checkpointing
from cmnas_tf.runs.run_folder import RunFolder
from cmnas_tf.searching import Darts
from tests.searching.small import SMALL, find


@pytest.mark.slow
def test_the_pulls_are_how_the_loss_changes_with_the_logits(
    eight_people, one_block, tmp_path, monkeypatch, capsys
):
    """By differences of the loss, with the statistics that the search used."""
    algorithm = Darts(epochs=2, warmup_epochs=1).with_values(split="identities", **SMALL)
    run = RunFolder(tmp_path / "run")
    find(eight_people, algorithm, run.path, checkpointing=Checkpointing(keep_checkpoints=9))
    arguments = {"run_dir": run.path, "data_dir": eight_people.root, "output": tmp_path / "o.json"}
    monkeypatch.setattr(
        sys, "argv", ["logit_pull", *(f"--{k}={v}" for k, v in arguments.items()), "--batches=2"]
    )
    logit_pull.main()
    found = json.loads((tmp_path / "o.json").read_text())
    assert [at["step"] for at in found] == [5, 10]
    assert "triplet, fresh" in capsys.readouterr().out
    assert found[1]["stored"]["triplet"] != found[1]["fresh"]["triplet"]

    pull = logit_pull.Pull(run, str(eight_people.root), batches=2)
    stored = pull.at(sorted(run.checkpoints().paths())[-1])["stored"]
    for name, of in stored.items():
        if name != "common":
            assert of["pull"] == pytest.approx(found[1]["stored"][name]["pull"], rel=1e-4, abs=1e-7)

    def loss(shift):
        """Of all sites of layer1, each moved towards separate."""
        checkpoint = logit_pull.read(sorted(run.checkpoints().paths())[-1])
        checkpoint.restore({"network": pull.network.get_weight_paths()})
        for place in pull.stages["layer1"]:
            pull.variables[place].assign_add(tf.constant([shift / 2, -shift / 2]))
        terms = pull._pull(training=False)
        return sum(pull.weights[name] * terms[name]["loss"] for name in pull.weights)

    whole = sum(stored[name]["pull"]["layer1"] for name in pull.weights) / 2
    slope = (loss(0.1) - loss(-0.1)) / 0.2
    assert slope == pytest.approx(whole, rel=0.02)
    assert 0 <= stored["common"] <= 1 and np.isfinite(whole)
