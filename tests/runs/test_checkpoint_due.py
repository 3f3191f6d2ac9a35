"""When a checkpoint is due."""

import time

import pytest

from cmnas_tf.errors import BadInput
from cmnas_tf.runs.loop import checkpoint_due


def due_steps(every, steps=10):
    due = checkpoint_due(every, steps_per_epoch=4)
    return [done for done in range(1, steps + 1) if due(done)]


def test_every_epoch_and_every_so_many_steps():
    """Epochs of 4 steps end after 4 and 8; every third step is 3, 6, 9."""
    assert due_steps("epoch") == [4, 8]
    assert due_steps("3") == [3, 6, 9]
    assert due_steps("1") == list(range(1, 11))


def test_every_so_many_minutes(monkeypatch):
    """A step takes 40 s, a checkpoint is due every 1.5 minutes: after 120 s (step 3), then 6, 9."""
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    due = checkpoint_due("1.5m", steps_per_epoch=4)
    found = []
    for done in range(1, 11):
        now = 40.0 * done
        if due(done):
            found.append(done)
    assert found == [3, 6, 9]


@pytest.mark.parametrize("every", ["", "0", "-3", "0m", "3.5", "ten", "10 m", "1h", "epochs"])
def test_anything_else_is_refused(every):
    with pytest.raises(BadInput, match=f"checkpoint_every='{every}' must be epoch"):
        checkpoint_due(every, 4)
