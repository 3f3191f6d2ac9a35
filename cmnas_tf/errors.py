"""The one exception that means "the user can mend this"."""


class BadInput(ValueError):
    """A setting, file or folder that cannot be used as given.

    The message says what was wrong, the value, what is allowed, and the next move; a command
    prints it without a traceback and exits with code 2.
    """


class TrainingDiverged(RuntimeError):
    """A loss term stopped being finite; the last good checkpoint is kept."""
