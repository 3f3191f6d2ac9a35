"""Ray as an executor, without a cluster: what a node refuses, and what has room where."""

import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from cmnas_tf.commands import on_ray, processes
from cmnas_tf.devices import ray_nodes
from cmnas_tf.errors import BadInput

pytest.importorskip("ray")


@pytest.fixture
def work(monkeypatch):
    """What a node does, here; afterwards the folder and the handler are as they were."""
    monkeypatch.chdir(os.curdir)
    handler = signal.getsignal(signal.SIGINT)
    yield on_ray._on_node()
    signal.signal(signal.SIGINT, handler)


def test_a_node_runs_the_command_in_the_folder_and_writes_to_the_log(tmp_path, work, monkeypatch):
    asked = []
    start = processes.subprocess.Popen

    def popen(words, **how):
        asked.append(words[1:])
        return start([sys.executable, "-c", "import os; print(os.environ['A']); exit(7)"], **how)

    monkeypatch.setattr(processes.subprocess, "Popen", popen)
    log = tmp_path / "log.txt"
    log.write_text("before\n")
    paths = [str(tmp_path), str(log)]
    assert work(["study", "--cell=x"], {"A": "3"}, paths, ray_nodes.versions()) == 7
    assert asked == [["-m", "cmnas_tf", "study", "--cell=x"]]
    assert log.read_text() == "before\n3\n"
    assert Path.cwd() == tmp_path


def test_a_node_says_what_it_does_not_see(tmp_path, work):
    """Also a folder that nothing is mounted at."""
    log, none, empty = (tmp_path / name for name in ("log.txt", "none", "empty"))
    log.touch()
    empty.mkdir()
    for missing in (none, empty):
        said = work([], {}, [str(tmp_path), str(log), str(missing)], ray_nodes.versions())
        assert said.startswith("The node ") and f" cannot see {missing}. Mount" in said


@pytest.mark.parametrize("there", ["", "cmnas_tf 0.1.0 with TensorFlow 2.15.1"])
def test_a_node_of_other_versions_says_so(tmp_path, work, monkeypatch, there):
    """Or one without the project."""
    ours = ray_nodes.versions()
    if there:
        monkeypatch.setattr(ray_nodes, "versions", lambda: there)
    else:
        monkeypatch.setitem(sys.modules, "cmnas_tf.devices.ray_nodes", None)
    (tmp_path / "log.txt").touch()
    said = work([], {}, [str(tmp_path), str(tmp_path / "log.txt")], ours)
    assert f" must have {ours}. Received: {there or 'import of cmnas_tf'}" in said


@pytest.mark.parametrize("address", ["127.0.0.1:{free}", "somewhere"])
def test_where_no_cluster_is_that_is_said_at_once(address):
    with socket.socket() as bound:  # and does not listen
        bound.bind(("127.0.0.1", 0))
        address = address.format(free=bound.getsockname()[1])
        with pytest.raises(BadInput, match=f"^ray_address={address} cannot be used: .*`ray start"):
            on_ray.starter(list, {}, [], address, 1, 1.0)


@pytest.mark.parametrize(
    ("resources", "threads", "gpus", "room"),
    [
        ({"CPU": 16.0}, 4, 0, 4),
        ({"CPU": 16.0, "GPU": 2.0}, 4, 1.0, 2),
        ({"CPU": 16.0, "GPU": 2.0}, 2, 0.3, 6),  # three on each GPU
        ({"CPU": 16.0, "GPU": 2.0}, 8, 0.5, 2),
        ({"CPU": 16.0, "GPU": 3.0}, 2, 2.0, 1),
        ({"CPU": 16.0, "GPU": 1.0}, 2, 2.0, 0),
        ({"CPU": 16.0}, 2, 0.5, 0),  # beside nodes that have GPUs
        ({"CPU": 2.0}, 4, 0, 0),
        ({}, 1, 0, 0),
    ],
)
def test_how_many_cells_a_node_has_room_for(resources, threads, gpus, room):
    assert on_ray._room(resources, threads, gpus) == room
