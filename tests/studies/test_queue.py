"""The queue: order, parallel cells, failures, being stopped, and the time that is left."""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from cmnas_tf.errors import BadInput, Stopped
from cmnas_tf.studies import queue
from cmnas_tf.studies.queue import Queue, last_words, seconds_left
from tests.studies.small import finish, results, study

# Says that it is ready, and saves what it did when it is asked to stop.
WAITS = """
import os, pathlib, signal, sys
folder, ready = sys.argv[1:]

def stop(*_):
    (pathlib.Path(folder) / "saved").touch()
    os._exit(143)

signal.signal(signal.SIGTERM, stop)
with open(ready, "w") as file:
    file.write("ready\\n")
while True:
    signal.pause()
"""


@pytest.fixture(autouse=True)
def looked_at_often(monkeypatch):
    monkeypatch.setattr(queue, "_POLL_SECONDS", 0.01)


class Cells:
    """Starts a process for each cell that does what the test says of it, and notes the order.

    Args:
      folder: of a named pipe that cells write to which wait, or read from which are held.
      does: by cell what it does: ``"finish"``, ``"fail"``; ``"wait"`` until it is told to stop;
        ``"held"``, which finishes when another cell ``"frees"`` it.
    """

    def __init__(self, folder, does=lambda cell: "finish"):
        self.does = does
        self.started = []
        self.at_once = 0
        self.pipe = folder / "pipe"
        os.mkfifo(self.pipe)
        self._processes = []

    def __call__(self, cell):
        cell.folder.mkdir(parents=True, exist_ok=True)
        self.started.append(cell.name)
        ready = cell.folder / "ready.json"
        ready.write_text(json.dumps(results(cell)))
        done = f"mv {ready} {cell.results_file}"
        commands = {
            "finish": ["bash", "-c", done],
            "held": ["bash", "-c", f"cat {self.pipe}; {done}"],
            "frees": ["bash", "-c", f"{done}; echo > {self.pipe}"],
            "fail": ["bash", "-c", "echo working; echo 'error: the loss is nan'; echo; exit 3"],
            "wait": [sys.executable, "-S", "-c", WAITS, str(cell.folder), str(self.pipe)],
        }
        with cell.log_file.open("wb") as log:
            process = subprocess.Popen(commands[self.does(cell)], stdout=log, stderr=log)
        self._processes.append(process)
        self.at_once = max(self.at_once, sum(p.poll() is None for p in self._processes))
        return process


@pytest.fixture
def pipes(tmp_path_factory):
    """Where the named pipes of a test are, each in a folder of its own."""
    return lambda: tmp_path_factory.mktemp("pipes")


def test_all_cells_are_done_in_order_and_never_again(tmp_path, pipes):
    cells, start, said = study(tmp_path).cells(), Cells(pipes()), []
    Queue(cells, said.append).run(start, 1)
    assert start.started == [cell.name for cell in cells]
    assert all(cell.results() for cell in cells)
    assert said[0] == "6 cells, 0 finished before"
    assert len(said) == 7 and "6/6  random_1/seed1" in said[-1] and "left" not in said[-1]
    again, said = Cells(pipes()), []
    Queue(cells, said.append).run(again, 1)
    assert again.started == []
    assert said == ["6 cells, 6 finished before"]


def test_what_depends_on_a_cell_waits_for_it_and_others_do_not(tmp_path, pipes):
    """With three jobs the random one of seed 0 waits, and its place goes to seed 1's search, whose
    end is what seed 0's search ends by."""
    does = {"searched/seed0": "held", "searched/seed1": "frees"}
    start = Cells(pipes(), lambda cell: does.get(cell.name, "finish"))
    Queue(study(tmp_path).cells(), list).run(start, 3)
    assert start.started[:3] == ["searched/seed0", "shared/seed0", "searched/seed1"]
    assert start.started.index("random_1/seed0") > start.started.index("searched/seed1")
    assert len(start.started) == 6
    assert start.at_once <= 3


def test_a_failure_is_written_down_and_the_others_go_on(tmp_path, pipes):
    """And what depends on it is not begun. The next run tries again."""
    cells, said = study(tmp_path).cells(), []
    start = Cells(pipes(), lambda cell: "fail" if cell.name == "searched/seed0" else "finish")
    once = Queue(cells, said.append)
    once.run(start, 1)
    reason = "not begun, since searched/seed0 failed"
    assert once.failed == {"searched/seed0": "the loss is nan", "random_1/seed0": reason}
    assert cells[0].failure() == {"exit_code": 3, "message": "the loss is nan"}
    assert "left" not in said[1], "how long a cell takes is not known yet"
    assert "random_1/seed0" not in start.started
    assert any("FAILED: the loss is nan" in line for line in said)
    assert sum(cell.results() is not None for cell in cells) == 4
    again = Cells(pipes())
    Queue(cells, list).run(again, 1)
    assert again.started == ["searched/seed0", "random_1/seed0"]


def test_asked_to_stop_it_asks_its_cells_and_waits_for_them(tmp_path, pipes):
    """Once both are at work; the queue says how much of all is done."""
    cells = study(tmp_path).cells()
    start = Cells(pipes(), lambda cell: "wait")

    def ask():
        said = b""
        with os.fdopen(os.open(start.pipe, os.O_RDWR), "rb", buffering=0) as pipe:
            while said.count(b"ready") < 2:
                said += pipe.read(100)
        os.kill(os.getpid(), signal.SIGTERM)

    asking = threading.Thread(target=ask)
    asking.start()
    with pytest.raises(Stopped) as stopped:
        Queue(cells, list).run(start, 2)
    asking.join()
    assert stopped.value.signal == signal.SIGTERM
    assert "Stopped by SIGTERM after 0 of 6 cells" in str(stopped.value)
    assert "Rerun the same command" in str(stopped.value)
    assert start.started == ["searched/seed0", "shared/seed0"]
    assert all((tmp_path / name / "saved").exists() for name in start.started)
    assert not list(tmp_path.rglob("failure.json"))


def test_time_left_by_hand():
    """Searches took 100 and 140 s, trainings 30 s: one search, two trainings and one of a kind
    that was never seen (the mean of all, 90 s) are 120 + 60 + 90 = 270 s; 135 with two jobs."""
    durations = {"searched": [100.0, 140.0], "train": [30.0]}
    left = ["searched", "train", "train", "gumbel"]
    assert seconds_left(durations, left, 1) == pytest.approx(270)
    assert seconds_left(durations, left, 2) == pytest.approx(135)
    assert seconds_left(durations, ["train"], 8) == pytest.approx(30)  # it cannot be divided
    assert seconds_left({}, left, 2) == 0.0
    assert seconds_left(durations, [], 2) == 0.0


def test_finished_cells_say_how_long_such_cells_take(tmp_path, pipes):
    """Of before: 40 s for a search with its training. What is left: two trainings and a search
    with its training take about 120 s, when the second search is done in no time."""
    cells, said = study(tmp_path).cells(), []
    finish(cells[0])
    finish(cells[1], seconds=(None, 600.0))
    finish(cells[2], seconds=(None, 600.0))
    Queue(cells, said.append).run(Cells(pipes()), 1)
    assert said[0] == "6 cells, 3 finished before"
    assert "searched/seed1" in said[1] and "mAP 50.0; about 20 minutes left" in said[1]


@pytest.mark.parametrize(
    "log, words",
    [
        ("epoch 1\nerror: two\n\nmore\n", "two"),
        ("Traceback\n  line\nValueError: broken\n\n  * by this\n", "ValueError: broken"),
        ("", "it said nothing"),
    ],
)
def test_last_words(tmp_path, log, words):
    cell = study(tmp_path).cells()[0]
    cell.folder.mkdir(parents=True)
    cell.log_file.write_text(log)
    assert last_words(cell) == words


def test_where_no_cell_can_be_worked_on_the_others_save_what_they_did(tmp_path, pipes):
    """Something is wrong with a node: that ends all, once those at work have ended."""
    cells = study(tmp_path).cells()
    start = Cells(pipes(), lambda cell: "wait")

    class Unfit:
        def __init__(self, process):
            self.send_signal, self.wait = process.send_signal, process.wait

        def poll(self):
            with os.fdopen(os.open(start.pipe, os.O_RDWR), "rb", buffering=0) as pipe:
                said = b""
                while said.count(b"ready") < 2:
                    said += pipe.read(100)
            raise BadInput("The node is unfit.")

    def begin(cell):
        process = start(cell)
        return process if cell is cells[1] else Unfit(process)

    with pytest.raises(BadInput, match="The node is unfit"):
        Queue(cells, list).run(begin, 2)
    assert all((tmp_path / name / "saved").exists() for name in start.started)
    assert not list(tmp_path.rglob("failure.json"))
