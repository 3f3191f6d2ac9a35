"""How many threads share an operation: fixed when a run begins, whatever machine resumes it."""

import logging

import pytest
import tensorflow as tf

from cmnas_tf.devices import threads
from cmnas_tf.devices.threads import threads_to_use, use_threads
from cmnas_tf.errors import BadInput


@pytest.fixture
def tensorflow(monkeypatch):
    """Of a process on two cores that has computed nothing yet: how many threads it was given."""
    given = []
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    monkeypatch.setattr(threads, "cores", lambda: 2)
    monkeypatch.setattr(tf.config.threading, "set_intra_op_parallelism_threads", given.append)
    return given


@pytest.mark.parametrize(
    ("asked", "before", "used"), [(0, 0, 2), (3, 0, 3), (0, 4, 4), (4, 4, 4), (1, 0, 1)]
)
def test_as_asked_for_or_as_before_or_one_for_each_core(tensorflow, asked, before, used):
    assert threads_to_use(asked, before) == use_threads(asked, before) == used
    assert tensorflow == [used]


def test_others_than_it_began_with_are_refused():
    with pytest.raises(BadInput, match=r"threads=2, but it began with threads=4.*`run_dir`"):
        use_threads(2, 4)


def test_it_says_where_it_resumes_with_others_than_the_machine_has(tensorflow, caplog):
    caplog.set_level(logging.INFO, "cmnas_tf")
    use_threads(0, 2)
    assert not caplog.messages
    use_threads(0, 4)
    assert caplog.messages == ["Resumes with threads=4, as it began; here it would be 2."]


@pytest.mark.parametrize(("variable", "used"), [("3", 3), ("0", 2), ("", 2), ("many", 2)])
def test_tensorflows_own_variable_is_followed(tensorflow, monkeypatch, variable, used):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", variable)
    assert use_threads(0, 0) == used
    assert use_threads(0, 4) == 4
    assert tensorflow == [used, 4]


def test_once_something_was_computed_it_says_what_it_goes_on_with(caplog):
    """Of this very process; where these are the ones that are wanted it says nothing."""
    tf.constant(1.0)
    now = use_threads(0, 0)
    assert use_threads(now, 0) == now and not caplog.messages
    assert use_threads(now + 1, 0) == now
    assert caplog.messages == [f"This process has threads={now} already, not {now + 1}."]
