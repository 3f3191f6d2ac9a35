"""All trials of RegDB by one command, killed in between, in real processes."""

import json
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from cmnas_tf.data.synthetic import write_dataset
from cmnas_tf.settings import SyntheticPeople

pytestmark = pytest.mark.slow

TINY = (
    "--dataset=regdb",
    "--backbone=resnet18",
    "--width=0.0625",
    "--image_height=32",
    "--image_width=16",
    "--identities_per_batch=4",
    "--images_per_identity=2",
    "--pad=2",
    "--epochs=2",
    "--noprogress",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """RegDB with 8 + 4 people."""
    root = tmp_path_factory.mktemp("data") / "regdb"
    people = SyntheticPeople(
        dataset="regdb",
        train_identities=8,
        test_identities=4,
        images_per_camera=2,
        image_height=32,
        image_width=16,
    )
    write_dataset(people, root, processes=1)
    return root


def start(data, folder, *flags):
    """The process of ``python -m cmnas_tf.trials``."""
    command = [sys.executable, "-m", "cmnas_tf.trials", *TINY, f"--data_dir={data}"]
    return subprocess.Popen(
        [*command, f"--run_dir={folder}", *flags],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def commands_in(output):
    """What was run, ``[("train", "01"), ...]``."""
    return re.findall(r"^\$ python -m cmnas_tf\.(\w+) --run_dir=\S*trial_(\d\d) ", output, re.M)


def test_a_killed_command_goes_on(data, tmp_path):
    """Killed when the second training begins: nothing goes on in the background, the first trial
    is not touched again, the second one is done, and the summary is of both."""
    folder = tmp_path / "runs"
    process = start(data, folder, "--trials=1-2")
    output = ""
    while ("train", "02") not in commands_in(output):
        line = process.stdout.readline()
        assert line, output
        output += line
    process.kill()
    process.stdout.read()  # to the end of the last process that could write
    process.wait()
    assert commands_in(output) == [("train", "01"), ("evaluate", "01"), ("train", "02")]
    assert not (folder / "trial_02" / "results.json").exists()
    assert not (folder / "trials.json").exists()
    first = {path: path.stat().st_mtime_ns for path in (folder / "trial_01").rglob("*.*")}

    process = start(data, folder, "--trials=1-2")
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert commands_in(output) == [("train", "02"), ("evaluate", "02")]
    assert f"finished before: {folder / 'trial_01' / 'results.json'}" in output
    assert {path: path.stat().st_mtime_ns for path in (folder / "trial_01").rglob("*.*")} == first

    summary = json.loads((folder / "trials.json").read_text())["results"]
    for direction in ("visible_to_infrared", "infrared_to_visible"):
        files = [folder / f"trial_0{n}" / "results.json" for n in (1, 2)]
        found = [json.loads(file.read_text())["results"][direction]["mAP"] for file in files]
        assert summary[direction]["mean"]["mAP"] == pytest.approx(statistics.mean(found))
        spread = summary[direction]["sample_standard_deviation"]["mAP"]
        assert spread == pytest.approx(abs(found[0] - found[1]) / 2**0.5)
        assert f"{100 * statistics.mean(found):.2f}" in output

    process = start(data, folder, "--trials=1", "--seed=1")
    output, _ = process.communicate()
    assert process.returncode == 2
    assert "--seed: 0 then, 1 now" in output
