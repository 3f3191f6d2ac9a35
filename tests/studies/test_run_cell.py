"""The work of a cell: what it refuses before it begins, and the time it takes. What it does:
tests/end_to_end."""

import json
import time

import pytest

from cmnas_tf.errors import BadInput
from cmnas_tf.studies import run_cell
from cmnas_tf.studies.run_cell import seconds_in, timed
from tests.studies.small import finish, study


def test_a_random_architecture_waits_for_the_one_it_is_like(tmp_path, monkeypatch):
    monkeypatch.setattr(run_cell, "load_dataset", lambda *_: None)
    plan = study(tmp_path)
    with pytest.raises(BadInput, match=r"like that of searched/seed1.*Do cell=searched/seed1"):
        run_cell.run_cell(plan.cell("random_1/seed1"))


def test_what_is_finished_is_left_alone(tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO", "cmnas_tf.studies")
    monkeypatch.setattr(run_cell, "load_dataset", None)
    plan = study(tmp_path)
    cell = plan.cell("shared/seed0")
    finish(cell)
    run_cell.run_cell(cell)
    assert caplog.messages == [f"{cell.folder / 'results.json'} is there already"]


# Time over several processes, and over one that was killed


@pytest.fixture
def clock(monkeypatch):
    """Seconds, one more at each look."""
    ticks = iter(range(100))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(ticks)))


def test_seconds_add_up_also_where_the_work_was_left_early(tmp_path, clock):
    file = tmp_path / "seconds.json"
    assert seconds_in(file) is None
    with timed(file):
        time.monotonic()  # a second more
    assert seconds_in(file) == 2.0
    with pytest.raises(KeyboardInterrupt), timed(file):
        raise KeyboardInterrupt
    assert seconds_in(file) == 3.0


def test_after_a_kill_the_sum_is_unknown_for_good(tmp_path, clock):
    file = tmp_path / "seconds.json"
    with timed(file):
        assert json.loads(file.read_text()) is None  # all that a killed process leaves
    file.write_text("null")
    with timed(file):
        pass
    assert seconds_in(file) is None
