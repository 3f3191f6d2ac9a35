"""Leaving a run on request: Ctrl-C, or the SIGTERM of a scheduler that takes the machine."""

import contextlib
import signal
import threading
from collections.abc import Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def signals_end_at_once() -> Iterator[None]:
    """SIGINT and SIGTERM end the process; for a long wait outside of Python.

    Python's own handlers only run when the wait is over. Afterwards the handlers are as they were,
    whatever was installed meanwhile.
    """
    before = {number: signal.signal(number, signal.SIG_DFL) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
        """Listens for SIGINT and SIGTERM, which Python delivers to the main thread alone."""
        request = cls()
        if threading.current_thread() is not threading.main_thread():
            yield request
            return
        before = {number: signal.signal(number, request._receive) for number in SIGNALS}
        try:
            yield request
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _receive(self, number: int, _: object) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)
