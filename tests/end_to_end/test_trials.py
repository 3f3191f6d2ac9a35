"""All trials of RegDB by one command, killed in between, in real processes."""

import json
import re
import statistics
import subprocess

import pytest

from tests.end_to_end.processes import run, start
from tests.tiny_people import TINIEST, write_people

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """RegDB with 8 + 4 people."""
    return write_people(tmp_path_factory.mktemp("data") / "regdb", dataset="regdb")


def flags_of_trials(data, folder):
    where = (f"--data_dir={data}", f"--run_dir={folder}")
    return ("--dataset=regdb", *TINIEST, "--epochs=2", *where)


def start_trials(data, folder, *flags):
    """The process of ``python -m cmnas_tf.trials``; it says what went wrong among the rest."""
    return start("trials", *flags_of_trials(data, folder), *flags, stderr=subprocess.STDOUT)


def commands_in(output):
    """What was run, ``[("train", "01"), ...]``."""
    return re.findall(r"^\$ python -m cmnas_tf (\w+) --run_dir=\S*trial_(\d\d) ", output, re.M)


def test_a_killed_command_is_resumed(data, tmp_path):
    """Killed when the second training begins: nothing runs on in the background, the first trial
    is not touched again, the second one is done, and the summary is of both."""
    folder = tmp_path / "runs"
    process = start_trials(data, folder, "--splits=1-2")
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

    process = start_trials(data, folder, "--splits=1-2")
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

    process = start_trials(data, folder, "--splits=1", "--seed=1")
    output, _ = process.communicate()
    assert process.returncode == 2
    assert "--seed=0 then, 1 now" in output


def test_side_by_side_they_are_the_same(data, tmp_path):
    """Which is all that one after the other leaves, to the last bit."""
    files = []
    for name, flags in (("one", []), ("two", ["--jobs=2"])):
        folder = tmp_path / name
        output, _ = run(
            "trials", *flags_of_trials(data, folder), "--splits=1-2", "--threads=1", *flags
        )
        summary = json.loads((folder / "trials.json").read_text())
        assert f"{100 * summary['results']['visible_to_infrared']['mean']['mAP']:.2f}" in output
        files.append((folder / "trials.json").read_text().replace(str(folder), ""))
    assert files[0] == files[1]
    assert "written to" in (tmp_path / "two" / "trial_02.log").read_text()
