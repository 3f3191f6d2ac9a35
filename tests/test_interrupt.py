"""Asking a run to stop: the first signal is remembered, the second interrupts at once."""

import signal
import threading

import pytest

from cmnas_tf.errors import Stopped
from cmnas_tf.interrupt import SIGNALS, StopRequest, signals_handled_by


@pytest.fixture(autouse=True)
def heard():
    """SIGHUP, although the tests may have been begun by ``nohup``."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("asked", SIGNALS)
def test_the_first_signal_is_remembered_and_the_second_interrupts(asked):
    before = signal.getsignal(asked)
    with pytest.raises(Stopped), StopRequest.listening() as request:
        assert request.signal is None
        signal.raise_signal(asked)
        assert request.signal is asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(asked)
        raise Stopped(asked, "a step")
    assert signal.getsignal(asked) is before


@pytest.mark.parametrize("asked", SIGNALS)
def test_a_request_in_the_last_moment_is_passed_on(asked):
    """What comes after the last look at it might take long."""
    passed_on = []
    with signals_handled_by(lambda number, _: passed_on.append(number)):
        with StopRequest.listening():
            signal.raise_signal(asked)
            assert passed_on == []
        assert passed_on == [asked]


def test_a_closed_terminal_is_nothing_to_what_nohup_began():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with StopRequest.listening() as request:
        signal.raise_signal(signal.SIGHUP)
        assert request.signal is None
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_outside_the_main_thread_nothing_is_changed():
    before = signal.getsignal(signal.SIGTERM)
    found = []

    def work():
        with StopRequest.listening() as request:
            found.append((request.signal, signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(None, before)]


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM])
def test_in_a_long_wait_a_signal_ends_the_process(asked):
    """Afterwards there are the handlers of before, and not one that was installed meanwhile."""
    before = signal.getsignal(asked)
    with signals_handled_by(signal.SIG_DFL):
        assert signal.getsignal(asked) is signal.SIG_DFL
        signal.signal(asked, lambda *_: None)
    assert signal.getsignal(asked) is before
