"""The queue: order, parallel cells, failures, being stopped, and the time that is left."""

import json
import os
import signal
import subprocess
import threading
import time

import pytest

from cmnas_tf.studies import queue
from cmnas_tf.studies.plan import FAILURE, RESULTS
from cmnas_tf.studies.queue import LOG, Queue, last_words, seconds_left
from tests.studies.small import finish, results, study


@pytest.fixture(autouse=True)
def looked_at_often(monkeypatch):
    monkeypatch.setattr(queue, "_POLL_SECONDS", 0.01)


class Cells:
    """Starts a process for each cell that does what the test says of it, and notes the order."""

    def __init__(self, does=lambda cell: "finish"):
        self.does = does
        self.started = []
        self.at_once = 0
        self._processes = []

    def __call__(self, cell):
        cell.folder.mkdir(parents=True, exist_ok=True)
        self.started.append(cell.name)
        what = self.does(cell)
        ready = cell.folder / "ready.json"
        ready.write_text(json.dumps(results(cell)))
        commands = {
            "slowly": f"sleep 0.7; mv {ready} {cell.folder / RESULTS}",
            "finish": f"mv {ready} {cell.folder / RESULTS}",
            "fail": "echo working; echo 'error: the loss is nan'; echo; exit 3",
            "wait": f"trap 'touch {cell.folder}/saved; exit 143' TERM; sleep 60 & wait",
        }
        with (cell.folder / LOG).open("wb") as log:
            process = subprocess.Popen(["bash", "-c", commands[what]], stdout=log, stderr=log)
        self._processes.append(process)
        self.at_once = max(self.at_once, sum(p.poll() is None for p in self._processes))
        return process


def test_all_cells_are_done_in_order_and_never_again(tmp_path, capsys):
    cells, start = study(tmp_path).cells(), Cells()
    Queue(cells, 1, start).run()
    assert start.started == [cell.name for cell in cells]
    assert all(cell.results() for cell in cells)
    assert "6/6  random_1/seed1" in capsys.readouterr().out
    again = Cells()
    Queue(cells, 1, again).run()
    assert again.started == []
    assert capsys.readouterr().out == "6 cells, 6 finished before\n"


def test_what_depends_on_a_cell_waits_for_it_and_others_do_not(tmp_path):
    """With three jobs the random one of seed 0 waits, and its place goes to seed 1's search."""
    start = Cells(lambda cell: "slowly" if cell.name == "searched/seed0" else "finish")
    Queue(study(tmp_path).cells(), 3, start).run()
    assert start.started[:3] == ["searched/seed0", "shared/seed0", "searched/seed1"]
    assert start.started.index("random_1/seed0") > 1
    assert len(start.started) == 6
    assert start.at_once <= 3


def test_a_failure_is_written_down_and_the_others_go_on(tmp_path, capsys):
    """And what depends on it is not begun. The next run tries again."""
    cells = study(tmp_path).cells()
    start = Cells(lambda cell: "fail" if cell.name == "searched/seed0" else "finish")
    once = Queue(cells, 1, start)
    once.run()
    reason = "not begun, since searched/seed0 failed"
    assert once.failed == {"searched/seed0": "the loss is nan", "random_1/seed0": reason}
    assert json.loads((cells[0].folder / FAILURE).read_text()) == {
        "exit_code": 3,
        "message": "the loss is nan",
    }
    assert "random_1/seed0" not in start.started
    assert "FAILED: the loss is nan" in capsys.readouterr().out
    assert sum(cell.results() is not None for cell in cells) == 4
    again = Cells()
    Queue(cells, 1, again).run()
    assert again.started == ["searched/seed0", "random_1/seed0"]


def test_asked_to_stop_it_asks_its_cells_and_waits_for_them(tmp_path, capsys):
    cells = study(tmp_path).cells()
    start = Cells(lambda cell: "wait")

    def ask():
        while len(start.started) < 2:
            time.sleep(0.01)
        time.sleep(0.3)  # until the traps are set
        os.kill(os.getpid(), signal.SIGTERM)

    asking = threading.Thread(target=ask)
    asking.start()
    with pytest.raises(SystemExit) as stopped:
        Queue(cells, 2, start).run()
    asking.join()
    assert stopped.value.code == 128 + signal.SIGTERM
    assert start.started == ["searched/seed0", "shared/seed0"]
    assert all((tmp_path / name / "saved").exists() for name in start.started)
    assert "the same command goes on" in capsys.readouterr().err
    assert not list(tmp_path.rglob(FAILURE))


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


def test_finished_cells_say_how_long_such_cells_take(tmp_path, capsys):
    """Of before: 40 s for a search with its training. What is left: two trainings and a search
    with its training take about 120 s, when the second search is done in no time."""
    cells = study(tmp_path).cells()
    finish(cells[0])
    finish(cells[1], seconds=(None, 600.0))
    finish(cells[2], seconds=(None, 600.0))
    Queue(cells, 1, Cells()).run()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "6 cells, 3 finished before"
    assert "searched/seed1" in lines[1] and "mAP 50.0; about 20 minutes left" in lines[1]


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
    (cell.folder / LOG).write_text(log)
    assert last_words(cell) == words
