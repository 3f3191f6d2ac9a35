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
from typing import Any


class Unavailable(Exception):
    """What a variant needs is not installed or not in this machine; says what."""


def main(target: str) -> None:
    """Serves ``"module:function"``; the function prepares the variant and returns what runs it.

    A run that has to prepare something itself returns the seconds that count.
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print must not be taken for an answer

    def answer(**values: Any) -> None:
        print(json.dumps(values), file=answers)

    module, function = target.split(":")
    try:
        prepare = getattr(importlib.import_module(module), function)
        imported = _peak_bytes()
        run = prepare()
    except Unavailable as reason:
        answer(unavailable=str(reason))
        return
    answer(imported_bytes=imported)
    for _ in sys.stdin:
        start = time.perf_counter()
        counted = run()
        passed = time.perf_counter() - start
        answer(seconds=passed if counted is None else counted, peak_bytes=_peak_bytes())


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    from benchmarks import worker  # whose Unavailable is the one that variants raise

    worker.main(sys.argv[1])
