"""A study as a user runs it, stopped in the middle: nothing is lost, nothing is done twice."""

import json
import re
import signal

import pytest
import tensorflow as tf

from cmnas_tf.architecture import Architecture
from tests.end_to_end.processes import behind
from tests.forked import Forked
from tests.tiny_people import TINIEST, write_people
from tests.training.commands import newest

pytestmark = pytest.mark.slow

COMMON = (*TINIEST, "--strategy=one_device")
CELLS = ("searched/seed0", "shared/seed0", "random_1/seed0")


def flags_of_study(data, folder, *flags):
    return (
        *(f"--data_dir={data}", f"--run_dir={folder}", "--seeds=1", *flags),
        *("--arms=shared,random,searched", "--against=shared,random"),
        "--random_architectures=1",
        *behind("search", *COMMON, "--epochs=2", "--warmup_epochs=0"),
        *behind("train", *COMMON, "--epochs=1"),
        *behind("evaluate", "--noprogress"),
    )


def start_study(data, folder, *flags):
    """The process of ``python -m cmnas_tf.study``; it says what it says to a new file."""
    log = folder.parent / "study.log"
    log.unlink(missing_ok=True)
    return Forked("study", *flags_of_study(data, folder, *flags), out=log, err=log)


def said(folder):
    return (folder.parent / "study.log").read_text()


def test_a_stopped_study_is_resumed(tmp_path):
    data, folder = write_people(tmp_path / "people"), tmp_path / "study"
    process = start_study(data, folder, "--jobs=2", "--threads=2")
    search = folder / "searched" / "seed0" / "search"
    while newest(search) is None:
        assert process.join(timeout=0.05) is None, said(folder)
    process.signal(signal.SIGTERM)
    assert process.join() == 128 + signal.SIGTERM, said(folder)
    assert re.search(
        "error: Stopped by SIGTERM after [0-3] of 3 cells.*Rerun the same", said(folder)
    )
    assert not (folder / "study.json").exists()
    done_before = newest(search).step

    assert start_study(data, folder, "--jobs=2").join(timeout=600) == 0, said(folder)
    assert 0 < done_before <= newest(search).step
    found = {name: json.loads((folder / name / "results.json").read_text()) for name in CELLS}
    chosen = found["searched/seed0"]["decided"]["chosen"]
    drawn = Architecture.load(folder / "random_1" / "seed0" / "train" / "architecture.json")
    assert list(drawn.choices.values()).count("separate") == len(chosen)
    assert set(found["searched/seed0"]["supernet_scores"]) == {"searched", "shared", "random_1"}
    assert all(0 < score <= 1 for score in found["searched/seed0"]["supernet_scores"].values())
    assert found["searched/seed0"]["seconds"]["search"] > 0
    assert found["shared/seed0"]["seconds"]["search"] is None
    measured = json.loads((folder / "shared" / "seed0" / "train" / "results.json").read_text())
    setting = "all_single_shot"
    mean_ap = measured["results"][setting]["mAP"]
    assert found["shared/seed0"]["results"][setting]["mAP"] == mean_ap
    rank1 = f"{100 * measured['results'][setting]['rank1']:.1f}"
    assert re.search(rf"\| `shared` +\| 1 +\| {rank1} ", said(folder))

    before = {path: path.stat().st_mtime_ns for path in folder.glob("*/**/*") if path.is_file()}
    nowhere = ("--executor=ray", "--ray_address=127.0.0.1:1")  # where nothing is left to do
    assert start_study(data, folder, *nowhere).join(timeout=600) == 0, said(folder)
    assert "3 cells, 3 finished before" in said(folder)
    after = {path: path.stat().st_mtime_ns for path in folder.glob("*/**/*") if path.is_file()}
    assert after == before

    other = tmp_path / "one_by_one" / "study"
    other.parent.mkdir()
    assert start_study(data, other, "--threads=2").join(timeout=600) == 0, said(other)
    assert contents(other) == contents(folder)
    assert {threads for _, threads in contents(other).values()} == {2}


def contents(study):
    """Of each run in a study its last checkpoint's bytes, and how many threads it records."""
    runs = {path.relative_to(study): path.parent for path in study.rglob("run.json")}
    assert len(runs) == 4
    return {
        path: (newest(run).path.read_bytes(), json.loads((run / "run.json").read_text())["threads"])
        for path, run in runs.items()
    }


def two_devices():
    """Cuts the CPU in two, which TensorFlow's default collectives then treat like two GPUs."""
    parts = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], parts)


def test_a_cell_on_two_devices(tmp_path):
    """Search, training, evaluation and ranking check follow each other in one process."""
    data, folder = write_people(tmp_path / "people"), tmp_path / "study"
    mirrored = (*TINIEST, "--strategy=mirrored")
    out, err = tmp_path / "out", tmp_path / "err"
    process = Forked(
        *("study", f"--data_dir={data}", f"--run_dir={folder}", "--seeds=1"),
        *("--arms=shared,searched", "--against=shared", "--cell=searched/seed0"),
        *behind("search", *mirrored, "--epochs=1", "--warmup_epochs=0"),
        *behind("train", *mirrored, "--epochs=1"),
        *behind("evaluate", "--noprogress", "--strategy=mirrored"),
        out=out,
        err=err,
        before=two_devices,
    )
    assert process.join(timeout=600) == 0, (out.read_text(), err.read_text())
    found = json.loads((folder / "searched" / "seed0" / "results.json").read_text())
    assert 0 < found["results"]["all_single_shot"]["mAP"] <= 1
    trained = newest(folder / "searched" / "seed0" / "train")
    assert trained.metadata["devices"] == 2
