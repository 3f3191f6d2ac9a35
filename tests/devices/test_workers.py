"""Several workers: what they agree on, and what each is told if they do not."""

import signal

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf.devices import workers
from cmnas_tf.devices.cluster import Cluster
from cmnas_tf.errors import BadInput, WorkerLost


@pytest.fixture
def other_workers(monkeypatch):
    """Pretends that this is worker 0 of several; gives the list of what the others hand in."""
    rows = []
    addresses = ("here:1", "there:2", "there:3")
    monkeypatch.setattr(workers, "cluster_of", lambda _: Cluster(addresses, 0))
    monkeypatch.setattr(workers, "gather_rows", lambda _, own: np.concatenate([own, *rows]))
    return rows


def test_one_process_is_its_own_chief_and_agrees_with_itself(two_replicas):
    """Whatever TF_CONFIG says: it is for strategies of several workers."""
    assert workers.cluster_of(two_replicas) == Cluster(("",), 0)
    assert workers.is_chief(two_replicas)
    rows = np.arange(6).reshape(3, 2)
    assert workers.gather_rows(two_replicas, rows) is rows
    workers.check_agreement(two_replicas, lambda: pytest.fail("there is nothing to compare"))
    assert workers.agreed_signal(two_replicas, None) is None
    assert workers.agreed_signal(two_replicas, signal.SIGINT) is signal.SIGINT


def said(text):
    return np.frombuffer(text.encode(), np.uint8).astype(np.int32)


def test_equal_facts_are_agreed_on(other_workers, two_replicas):
    other_workers += [said('{"seed": 1, "größe": [1.5]}\n')] * 2
    workers.check_agreement(two_replicas, lambda: {"seed": 1, "größe": [1.5]})


def test_what_differs_is_named_with_the_value_of_each_worker(other_workers, two_replicas):
    """And what is equal is not; a fact that a worker does not know is None."""
    other_workers += [said('{"seed": 2, "width": 0.5}\n'), said('{"width": 0.5}\n')]
    with pytest.raises(BadInput) as error:
        workers.check_agreement(two_replicas, lambda: {"seed": 1, "width": 0.5})
    assert "differ in `seed`: 1 on worker 0, 2 on worker 1, None on worker 2. S" in str(error.value)
    assert "width" not in str(error.value)


def test_options_that_shape_the_result_and_contents_are_compared(other_workers, two_replicas):
    other_workers.append(said('{"seed": 0, "pad": 10}\n'))
    with pytest.raises(BadInput) as error:
        workers.check_agreement(two_replicas, lambda: {"seed": 3, "pad": 10, "the images": "abc"})
    assert "`seed`: 3 on worker 0, 0 on worker 1" in str(error.value)
    assert "the images: 'abc' on worker 0, None on worker 1" in str(error.value)
    assert "pad" not in str(error.value)


@pytest.mark.parametrize("asked", [None, signal.SIGINT, signal.SIGTERM])
def test_the_signal_of_any_worker_is_that_of_all(other_workers, two_replicas, asked):
    """Each replica of this process has a vote; another worker is none of them."""
    assert workers.agreed_signal(two_replicas, asked) is asked


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ([0.0, 0.0, 0.0], None),
        ([2.0, 0.0, 0.0], signal.SIGINT),
        ([0.0, 1.0, 0.0], signal.SIGTERM),
        ([0.0, 0.0, 1.0], signal.SIGHUP),
    ],
)
def test_who_was_not_asked_follows_who_was(
    other_workers, monkeypatch, two_replicas, votes, expected
):
    monkeypatch.setattr(workers, "_sum", lambda _, own: own + votes)
    assert workers.agreed_signal(two_replicas, None) is expected


def test_a_lost_worker_is_named_and_other_errors_are_left_alone():
    def fails(error, message):
        with workers.naming_lost_workers():
            raise error(None, None, message)

    message = "Graph execution error:\n\nCollective ops is aborted by: Socket closed\nMore."
    with pytest.raises(WorkerLost, match=r"aborted by: Socket closed\).*The last checkpoint"):
        fails(tf.errors.UnavailableError, message)
    with pytest.raises(WorkerLost, match=r"\(AbortedError\)"):
        fails(tf.errors.AbortedError, "")
    with pytest.raises(tf.errors.InvalidArgumentError):
        fails(tf.errors.InvalidArgumentError, "Incompatible shapes")
