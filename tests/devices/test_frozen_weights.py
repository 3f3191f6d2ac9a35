"""What a server promises of its weights is not for trainings, and changes no answer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cmnas_tf.devices.frozen_weights import ASSUMED, require_weights_may_change
from cmnas_tf.errors import BadInput
from cmnas_tf.serving.export import export_saved_model
from cmnas_tf.training.trained import load_network
from tests.serving.networks import small, write_run
from tests.tiny_people import TINY, write_people

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("value", ["1", "true", "TRUE"])
def test_a_training_refuses_it(value):
    with pytest.raises(BadInput, match=f"{ASSUMED}={value} is for servers: .* Unset it"):
        require_weights_may_change({ASSUMED: value})


@pytest.mark.parametrize("environment", [{}, {ASSUMED: ""}, {ASSUMED: "0"}, {ASSUMED: "False"}])
def test_without_it_nothing_is_said(environment):
    require_weights_may_change(environment)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["train", "search"])
def test_the_commands_refuse_it(command, tmp_path):
    """Before a step is done."""
    flags = [f"--data_dir={tmp_path / 'people'}", f"--run_dir={tmp_path / command}"]
    flags += [*TINY, "--epochs=2"]
    flags += ["--architecture=shared" if command == "train" else "--warmup_epochs=1"]
    write_people(tmp_path / "people")
    done = subprocess.run(
        [sys.executable, "-m", "cmnas_tf", command, *flags],
        cwd=ROOT,
        env={**os.environ, ASSUMED: "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 2 and f"error: {ASSUMED}=1 is for servers" in done.stderr
    assert not list((tmp_path / command).glob("checkpoints/*"))


@pytest.mark.slow
def test_a_server_that_gives_it_answers_the_same(tmp_path):
    """Every signature, again and again, with other images, as they were recorded at the export."""
    run, folder = write_run(tmp_path / "run", small()), tmp_path / "export"
    export_saved_model(load_network(run), folder)
    done = subprocess.run(
        [sys.executable, "-m", "cmnas_tf", "export", "--check", f"--export_dir={folder}"],
        cwd=ROOT,
        env={**os.environ, ASSUMED: "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert "safe to roll out" in done.stdout
