"""Time over several processes, and over one that was killed."""

import json
import time

import pytest
from cmnas_tf.studies.stopwatch import seconds_in, timed


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
