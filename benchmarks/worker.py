"""One variant of a comparison, in a process of its own: prepares, then runs each time it is told.

A process each, so that neither thread pools nor global state of one variant disturb another, and so
that the peak of memory is that of one variant.
"""

import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl


class Unavailable(Exception):
    """What a variant needs is not installed or not in this machine; says what."""


# Begins a run. What it returns waits until the run is done; None where it is done already, and the
# seconds that count where it has to prepare something itself.
Run = Callable[[], Callable[[], Any] | float | None]


def main(target: str) -> None:
    """Serves ``"module:function"``, or ``"module:function?name=value&name=value"``.

    The function prepares the variant and returns its :data:`Run`. A word on stdin asks for one:
    ``run``; ``row 20`` for the mean of 20 that are begun without waiting for one another; ``profile
    3`` for what the module's ``profile`` says of three; ``memory`` for what its ``memory`` says.
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print must not be taken for an answer

    def answer(**values: Any) -> None:
        print(json.dumps(values), file=answers)

    module, _, _ = target.partition(":")
    begin = time.perf_counter()
    try:
        imported = importlib.import_module(module)
        import_seconds, import_bytes = time.perf_counter() - begin, _peak_bytes()
        run = prepared(target)
    except Unavailable as reason:
        answer(unavailable=str(reason))
        return
    ready = time.perf_counter() - begin
    answer(imported_bytes=import_bytes, import_seconds=import_seconds, prepared_seconds=ready)
    for line in sys.stdin:
        word, *number = line.split()
        if word == "run":
            answer(seconds=seconds_of(run), peak_bytes=_peak_bytes())
        elif word == "row":
            answer(seconds=_seconds_in_a_row(run, int(number[0])))
        elif word == "profile":
            answer(**imported.profile(run, int(number[0])))
        elif word == "memory":
            answer(**imported.memory())


def prepared(target: str) -> Run:
    """What ``"module:function?name=value"`` returns.

    Raises:
      Unavailable: what the variant needs is not there.
    """
    module, _, call = target.partition(":")
    function, _, words = call.partition("?")
    return getattr(importlib.import_module(module), function)(**dict(parse_qsl(words)))


def seconds_of(run: Run) -> float:
    """Runs to the end; gives the seconds that count."""
    start = time.perf_counter()
    found = run()
    if callable(found):
        found()
    passed = time.perf_counter() - start
    return found if isinstance(found, float) else passed


def _seconds_in_a_row(run: Run, count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        found = run()
    if callable(found):
        found()
    return (time.perf_counter() - start) / count


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    from benchmarks import worker  # whose Unavailable is the one that variants raise

    worker.main(sys.argv[1])
