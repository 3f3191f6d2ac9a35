"""Variants taking turns, so that a machine whose speed drifts slows all of them alike."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from cmnas_tf.progress import progress_bar


@dataclass
class Timing:
    """What was seen of one variant.

    Attributes:
      seconds: of each round, warm-up left out; empty where the variant is unavailable.
      working_bytes: peak of resident memory beyond what importing the libraries took.
      unavailable: why there is nothing, or "".
    """

    seconds: list[float] = field(default_factory=list)
    working_bytes: int = 0
    unavailable: str = ""

    def to_json(self) -> dict[str, Any]:
        """Median and spread."""
        if self.unavailable:
            return {"unavailable": self.unavailable}
        return {
            "seconds_median": median(self.seconds),
            "seconds_least": min(self.seconds),
            "seconds_most": max(self.seconds),
            "rounds": len(self.seconds),
            "working_megabytes": round(self.working_bytes / 1e6),
        }


def ratio(numerator: Timing, denominator: Timing) -> float | None:
    """The median over rounds of the ratio within each round."""
    if numerator.unavailable or denominator.unavailable:
        return None
    return median(a / b for a, b in zip(numerator.seconds, denominator.seconds, strict=True))


def take_turns(variants: Sequence[str], rounds: int, warmup: int) -> dict[str, Timing]:
    """Runs every variant once in each round, one after the other.

    Args:
      variants: ``"module:function"``, see ``worker``.
      rounds: that count.
      warmup: rounds before, that do not.

    Returns:
      The timing of each variant.
    """
    timings = {variant: Timing() for variant in variants}
    with ExitStack() as stack:
        processes = {variant: stack.enter_context(Process(variant)) for variant in variants}
        imported = {}
        for variant, process in processes.items():  # one after the other: memory, cores
            ready = process.start()
            timings[variant].unavailable = ready.get("unavailable", "")
            imported[variant] = ready.get("imported_bytes", 0)
        running = [variant for variant in variants if not timings[variant].unavailable]
        with progress_bar(rounds + warmup, "round", True) as bar:
            for number in range(rounds + warmup):
                for variant in running:
                    seen = processes[variant].ask()
                    if number >= warmup:
                        timings[variant].seconds.append(seen["seconds"])
                    timings[variant].working_bytes = seen["peak_bytes"] - imported[variant]
                bar.update()
    return timings


class Process:
    """A worker process, ended on leaving the context.

    Args:
      variant: ``"module:function?name=value"``, see ``worker``.
      environment: what it finds in its environment besides this process' own.
      python: that runs it.
    """

    def __init__(
        self,
        variant: str,
        environment: Mapping[str, str] | None = None,
        python: str = sys.executable,
    ):
        self._command = [python, "-m", "benchmarks.worker", variant]
        self._environment = {**os.environ, **(environment or {})}

    def __enter__(self) -> "Process":
        self._process: subprocess.Popen[str] | None = None
        return self

    def __exit__(self, *exception: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.communicate()

    def begin(self) -> None:
        """Starts it; :meth:`answer` tells when it is ready."""
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self._environment,
        )

    def start(self) -> dict[str, Any]:
        """Starts it and waits until it is ready."""
        self.begin()
        return self.answer()

    def ask(self, words: str = "run") -> dict[str, Any]:
        """Tells it to do something and waits for what comes of it."""
        self.tell(words)
        return self.answer()

    def tell(self, words: str) -> None:
        """Tells it to do something."""
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(f"{words}\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """What it says next."""
        assert self._process is not None and self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(self._command)} ended; see above.")
        return json.loads(line)
