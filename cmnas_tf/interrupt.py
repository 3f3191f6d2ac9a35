"""What Ctrl-C, a scheduler's SIGTERM and the SIGHUP of a closing terminal do for a while."""

import contextlib
import ctypes
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def stop_with_parent() -> None:
    """Has this process asked to stop when its parent ends, even by being killed."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@contextlib.contextmanager
def signals_handled_by(
    handler: Callable[[int, Any], Any] | signal.Handlers,
    signals: Sequence[signal.Signals] = SIGNALS,
) -> Iterator[None]:
    """Has a handler for signals, which Python delivers to the main thread alone.

    Afterwards the handlers are as they were, whatever was installed meanwhile. In a wait outside of
    Python its handlers only run when the wait is over: there ``signal.SIG_DFL`` ends the process.
    A SIGHUP that ``nohup`` has ignored stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    heard = [number for number in signals if number is not signal.SIGHUP or not ignored]
    before = {number: signal.signal(number, handler) for number in heard}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


class StopRequest:
    """Remembers the first request to stop; a second one interrupts at once.

    Attributes:
      signal: the signal that asked, or None.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    @classmethod
    @contextlib.contextmanager
    def listening(cls) -> "Iterator[StopRequest]":
        """Listens for :data:`SIGNALS`.

        What nobody heeded before the end, since it came in the last moment, is passed on to who
        listens outside: what comes next might take long.
        """
        request = cls()
        with signals_handled_by(request._receive):
            yield request
        if request.signal is not None:
            signal.raise_signal(request.signal)

    def _receive(self, number: int, _: object) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)
