"""The exceptions that end a command with a sentence instead of a traceback."""

import difflib
import signal
from collections.abc import Iterable


class BadInput(ValueError):
    """A setting, file or folder that cannot be used as given.

    The message says what was wrong, the value, what is allowed, and the next move; a command
    prints it without a traceback and exits with code 2.
    """


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """`` Did you mean A or B?``, of the known words those like a word, whatever their case; or
    nothing."""
    by_case = {name.lower(): name for name in known}
    near = difflib.get_close_matches(str(word).lower(), by_case, n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(by_case[name] for name in near)}?" if near else ""


def printable(text: str) -> str:
    """A text of others in which all that a terminal would obey, or cannot show, is escaped."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


class TrainingDiverged(RuntimeError):
    """A loss term stopped being finite; the last good checkpoint is kept."""


class WorkerLost(RuntimeError):
    """Another process of a run ended or cannot be reached; the last checkpoint is kept."""


class Stopped(RuntimeError):
    """Work that was asked to stop by a signal, and saved what it had done before it did.

    Args:
      signal: SIGINT (Ctrl-C), SIGTERM (a scheduler takes the machine) or SIGHUP (its
        terminal closes).
      done: what is done and saved, such as ``"step 5"``.
    """

    def __init__(self, signal: signal.Signals, done: str):
        super().__init__(
            f"Stopped by {signal.name} after {done}, which is saved. Rerun the same command to "
            "resume."
        )
        self.signal = signal
