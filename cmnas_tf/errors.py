"""The exceptions that end a command with a sentence instead of a traceback."""

import signal


class BadInput(ValueError):
    """A setting, file or folder that cannot be used as given.

    The message says what was wrong, the value, what is allowed, and the next move; a command
    prints it without a traceback and exits with code 2.
    """


class TrainingDiverged(RuntimeError):
    """A loss term stopped being finite; the last good checkpoint is kept."""


class WorkerLost(RuntimeError):
    """Another process of a run ended or cannot be reached; the last checkpoint is kept."""


class Stopped(RuntimeError):
    """A run that was asked to stop by a signal, and wrote a checkpoint before it did.

    Args:
      signal: SIGINT (Ctrl-C) or SIGTERM (a scheduler takes the machine).
      step: steps that are done.
    """

    def __init__(self, signal: signal.Signals, step: int):
        super().__init__(
            f"Stopped by {signal.name} after step {step}, which is saved. Rerun the same command "
            "to resume."
        )
        self.signal = signal
