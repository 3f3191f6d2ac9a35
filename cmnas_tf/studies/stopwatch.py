"""How long a piece of work took, over all the processes that were at it."""

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

from cmnas_tf.files import write_json


@contextlib.contextmanager
def timed(file: Path) -> Iterator[None]:
    """Adds the seconds of the block to those in ``file``, also when the block is left early.

    A process that is killed cannot say how long it worked: the sum is unknown from then on.
    """
    before = seconds_in(file) if file.exists() else 0.0
    write_json(file, None)
    started = time.monotonic()
    try:
        yield
    finally:
        if before is not None:
            write_json(file, before + time.monotonic() - started)


def seconds_in(file: Path) -> float | None:
    """The seconds in ``file``; None where they are not known."""
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
