"""A study on two nodes of a real Ray cluster, which are processes of this machine."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from tests.end_to_end.processes import start
from tests.end_to_end.test_study import CELLS, flags_of_study, said
from tests.tiny_people import write_people
from tests.training.commands import newest

pytest.importorskip("ray")
pytestmark = pytest.mark.slow

SEEDS = int(os.environ.get("CMNAS_TF_RAY_SEEDS", "1"))  # of three cells each


class Node:
    """A node with two CPUs; ``ray start`` stays its parent and ends with it."""

    def __init__(self, *flags):
        self._process = subprocess.Popen(
            [Path(sys.executable).with_name("ray"), "start", "--block", "--num-cpus=2", *flags],
            env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        told = []
        while "Ray runtime started" not in "".join(told[-1:]):
            told.append(self._process.stdout.readline())
            assert told[-1], "".join(told)
        self._own = psutil.Process(self._process.pid)
        (self._raylet,) = (c for c in self._own.children() if c.name() == "raylet")

    def works_on(self):
        """By cell the process that is on it."""
        found = {}
        for process in self._raylet.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                cells = re.findall("--cell=(.*)", "\n".join(process.cmdline()))
                found |= dict.fromkeys(cells, process)
        return found

    def lose(self):
        """As if the machine failed, as far as Ray can tell."""
        self._raylet.kill()
        self._process.wait()

    def end(self):
        """Ends what is left of it."""
        with contextlib.suppress(psutil.NoSuchProcess):
            left = self._own.children(recursive=True)
            self._process.terminate()
            psutil.wait_procs(left)
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture
def cluster():
    """The cluster's address, and its nodes."""
    folder = tempfile.mkdtemp(prefix="ray")  # short, since the names of its sockets are in it
    with socket.socket() as first, socket.socket() as second:
        for free in (first, second):
            free.bind(("127.0.0.1", 0))
        port, other = (free.getsockname()[1] for free in (first, second))
    little = "--object-store-memory=80000000"
    head = Node(
        *("--head", f"--port={port}", f"--ray-client-server-port={other}", little),
        *(f"--temp-dir={folder}", "--include-dashboard=false"),
    )
    address = f"127.0.0.1:{port}"
    nodes = [head]
    try:
        nodes.append(Node(f"--address={address}", "--node-ip-address=127.0.0.2", little))
        yield address, nodes
    finally:
        for node in reversed(nodes):
            node.end()
        shutil.rmtree(folder, ignore_errors=True)


def start_study(data, folder, *flags):
    """``python -m cmnas_tf.study`` as a user begins it; it says what it says to a new file."""
    with (folder.parent / "study.log").open("wb") as log:
        return start("study", *flags_of_study(data, folder, *flags), stdout=log, stderr=log)


def until(process, folder, condition):
    """Waits for a condition while a study runs."""
    while not condition():
        with contextlib.suppress(subprocess.TimeoutExpired):
            raise AssertionError(f"ended with {process.wait(timeout=0.05)}: {said(folder)}")


def test_a_lost_node_and_a_killed_driver_change_nothing(tmp_path, cluster):
    """The study is that of one machine, bit for bit; each cell was done once."""
    address, (_, second) = cluster
    data, folder = write_people(tmp_path / "people"), tmp_path / "ray" / "study"
    folder.parent.mkdir()
    common = (f"--seeds={SEEDS}", "--threads=1")
    on_ray = (*common, "--executor=ray", f"--ray_address={address}")
    process = start_study(data, folder, *on_ray)
    until(process, folder, lambda: [c for c in second.works_on() if begun(folder / c)])
    lost = second.works_on()
    second.lose()
    until(process, folder, lambda: "resumes elsewhere" in said(folder))
    assert "Ray has room for 4 cells at a time, on 2 nodes" in said(folder)
    assert set(re.findall(r"^(\S+) was lost and resumes elsewhere", said(folder), re.M)) <= {*lost}
    until(process, folder, lambda: any(begun(folder / cell) for cell in lost))
    process.kill()
    process.wait()

    assert start_study(data, folder, *on_ray).wait() == 0, said(folder)
    other = tmp_path / "local" / "study"
    other.parent.mkdir()
    assert start_study(data, other, *common, "--jobs=2").wait() == 0, said(other)
    assert timeless(folder / "study.json") == timeless(other / "study.json")
    for cell in (c.replace("0", str(seed)) for c in CELLS for seed in range(SEEDS)):
        here, there = folder / cell, other / cell
        assert timeless(here / "results.json") == timeless(there / "results.json")
        for run in (path.parent.name for path in there.glob("*/run.json")):
            assert newest(here / run).path.read_bytes() == newest(there / run).path.read_bytes()
        assert not (here / "failure.json").exists()


def test_a_study_that_is_stopped_has_its_cells_save_what_they_did(tmp_path, cluster):
    address, nodes = cluster
    data, folder = write_people(tmp_path / "people"), tmp_path / "study"
    on_ray = ("--executor=ray", f"--ray_address={address}", "--threads=1")
    refused = start_study(data, folder, *on_ray, "--threads=3")
    assert refused.wait() == 2
    assert "--threads=3 and --gpus_per_cell=0 asks for more than any" in said(folder)

    process = start_study(data, folder, *on_ray)
    search = folder / "searched" / "seed0" / "search"
    until(process, folder, lambda: newest(search))
    (cell,) = (w["searched/seed0"] for n in nodes if "searched/seed0" in (w := n.works_on()))
    cell.suspend()  # or it might be done before it is asked
    process.send_signal(signal.SIGTERM)
    until(process, folder, lambda: is_asked_to_end(cell.pid))
    cell.resume()
    assert process.wait() == 128 + signal.SIGTERM, said(folder)
    assert "error: Stopped by SIGTERM after" in said(folder)
    assert not any(node.works_on() for node in nodes)
    log = (folder / "searched" / "seed0" / "log.txt").read_text()
    assert re.search(r"error: (Stopped|Interrupted) by SIGTERM", log)  # within a step, or between


def is_asked_to_end(pid):
    """Whether a SIGTERM waits for a process that is suspended."""
    (pending,) = re.findall(r"^ShdPnd:\s*(\w+)", Path(f"/proc/{pid}/status").read_text(), re.M)
    return int(pending, 16) >> (signal.SIGTERM - 1) & 1


def begun(cell):
    """Whether a cell has something that it can resume from."""
    return any(newest(cell / run) for run in ("search", "train") if (cell / run).exists())


def timeless(file):
    """What a file says, without how long it took."""

    def without(value):
        if isinstance(value, dict):
            times = ("seconds", "trainings")
            return {key: without(inner) for key, inner in value.items() if key not in times}
        return value

    return without(json.loads(file.read_text()))
