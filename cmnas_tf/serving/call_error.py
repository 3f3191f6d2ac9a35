"""Why a call to a model server failed, in the words of gRPC and in those of HTTP."""

import contextlib
import re
from collections.abc import Iterator

from cmnas_tf.errors import printable

_LONGEST = 1000  # characters of a message that are told; our choice

# By the name of gRPC's code; the numbers are those that TensorFlow Serving's REST answers with.
HTTP_STATUS = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "DATA_LOSS": 500,
    "UNKNOWN": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}

# Where in its graph TensorFlow stood: {{node a/b}}, or the same in brackets at the end.
_NODES = re.compile(r"\s*\[\[.*?\]\]|\{\{(?:function_)?node [^}]*\}\}\s*", re.DOTALL)


class CallError(Exception):
    """A call that was refused, or that nobody answered.

    Args:
      code: name of gRPC's status code, a key of ``HTTP_STATUS``.
      message: a sentence.
    """

    def __init__(self, code: str, message: str):
        super().__init__(message)
        self.code = code

    @property
    def sentence(self) -> str:
        """The message on one line and without names of a graph's nodes, of bounded length, with a
        full stop at its end."""
        return f"{printable(in_words(str(self)))[:_LONGEST].removesuffix('.')}."


def in_words(message: str) -> str:
    """What TensorFlow says, in a line and without the names of a graph's nodes."""
    return " ".join(_NODES.sub("", message).removeprefix("Graph execution error:").split())


def refused(message: str) -> CallError:
    """A call whose fault is the caller's."""
    return CallError("INVALID_ARGUMENT", message)


@contextlib.contextmanager
def reading_answer() -> Iterator[None]:
    """Turns whatever the reading of a malformed answer raises into a ``CallError``."""
    try:
        yield
    except CallError:
        raise
    except Exception as error:
        raise CallError("DATA_LOSS", f"{type(error).__name__}: {error}") from error


def code_of(http_status: int) -> str:
    """The first code that an HTTP status stands for; what no code has is ``"UNKNOWN"``."""
    return next((code for code in HTTP_STATUS if HTTP_STATUS[code] == http_status), "UNKNOWN")
