"""The queue: cells in processes of their own, several at a time, until all are done."""

import signal
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from cmnas_tf.errors import BadInput, Stopped
from cmnas_tf.files import write_json
from cmnas_tf.interrupt import StopRequest

_POLL_SECONDS = 0.2


class QueuedCell(Protocol):
    """What the queue asks of a cell of a study; a trial answers, too."""

    name: str
    folder: Path
    failure_file: Path
    log_file: Path

    @property
    def kind(self) -> str:
        """Cells of one kind take about as long."""

    @property
    def after(self) -> "QueuedCell | None":
        """What must be finished before."""

    def results(self) -> dict[str, Any] | None:
        """What it found, once it is finished."""


class Process(Protocol):
    """What works on a cell, here or elsewhere: the part of ``subprocess.Popen`` that is needed."""

    def poll(self) -> int | None:
        """Its exit code once it has ended."""

    def send_signal(self, number: int, /) -> None:
        """Asks it to save what it did, and to end."""

    def wait(self) -> object:
        """Waits until it has ended."""


@dataclass
class Queue:
    """Runs all cells that are not finished.

    Attributes:
      cells: all of the study, each after the one that it depends on.
      say: is told, a line at a time, what is done and how long the rest takes.
      failed: by the name of a cell, what went wrong with it.
      waiting: cells that are still to be begun.

    Raises:
      BadInput: a finished cell is of other settings.
    """

    cells: Sequence[QueuedCell]
    say: Callable[[str], None]
    failed: dict[str, str] = field(default_factory=dict)
    waiting: list[QueuedCell] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._running: dict[QueuedCell, tuple[Process, float]] = {}  # and when it began
        self._durations: dict[str, list[float]] = {}
        for cell in self.cells:
            found = cell.results()
            if found is None:
                self.waiting.append(cell)
            else:
                self._note(cell, sum(filter(None, found.get("seconds", {}).values())))
        self.say(f"{len(self.cells)} cells, {len(self.cells) - len(self.waiting)} finished before")

    def run(self, start: Callable[[QueuedCell], Process], jobs: int) -> None:
        """Runs until every cell is finished or has failed.

        Args:
          start: begins a cell's work in a process that ends with 0 once the cell is finished.
          jobs: how many are worked on at a time.

        Raises:
          Stopped: a signal asked for it.
          BadInput: no cell can be worked on there. In both cases the cells at work were told to
            save what they did, and were waited for.
        """
        self._start, self._jobs = start, jobs
        with StopRequest.listening() as request:
            try:
                while (self.waiting or self._running) and not request.signal:
                    self._begin()
                    time.sleep(_POLL_SECONDS)
                    for cell, (process, begun) in list(self._running.items()):
                        if (code := process.poll()) is not None:
                            del self._running[cell]
                            self._end(cell, code, time.monotonic() - begun)
            except BadInput:
                self._stop(signal.SIGTERM)
                raise
            if request.signal:
                self._stop(request.signal)
                done = len(self.cells) - len(self.waiting) - len(self._running)
                raise Stopped(request.signal, f"{done} of {len(self.cells)} cells")

    def _begin(self) -> None:
        """Starts as many cells as there are places for, the first ones that can be begun."""
        for cell in list(self.waiting):
            needed = cell.after
            if needed is not None and needed.name in self.failed:
                self.waiting.remove(cell)
                self._fail(cell, 1, f"not begun, since {needed.name} failed")
            elif len(self._running) < self._jobs and (needed is None or needed.results()):
                self.waiting.remove(cell)
                self._running[cell] = self._start(cell), time.monotonic()

    def _end(self, cell: QueuedCell, code: int, seconds: float) -> None:
        found = cell.results()
        if found is None:
            self._fail(cell, code, last_words(cell))
            return
        cell.failure_file.unlink(missing_ok=True)
        self._note(cell, seconds)
        said = ", ".join(f"mAP {100 * found['mAP']:.1f}" for found in found["results"].values())
        self._tell(cell, said)

    def _fail(self, cell: QueuedCell, code: int, message: str) -> None:
        self.failed[cell.name] = message
        write_json(cell.failure_file, {"exit_code": code, "message": message})
        self._tell(cell, f"FAILED: {message}")

    def _tell(self, cell: QueuedCell, what: str) -> None:
        left = [*self.waiting, *self._running]
        seconds = seconds_left(self._durations, [c.kind for c in left], self._jobs)
        rest = f"; about {seconds / 60:.0f} minutes left" if seconds else ""
        done = f"{len(self.cells) - len(left)}/{len(self.cells)}"
        self.say(f"{done:>9}  {cell.name:<24} {what}{rest}")

    def _note(self, cell: QueuedCell, seconds: float) -> None:
        self._durations.setdefault(cell.kind, []).append(seconds)

    def _stop(self, number: signal.Signals) -> None:
        for process, _ in self._running.values():
            process.send_signal(number)
        for process, _ in self._running.values():
            process.wait()


def seconds_left(durations: Mapping[str, Sequence[float]], left: Sequence[str], jobs: int) -> float:
    """About how long the rest takes.

    Args:
      durations: by kind, how long cells took.
      left: the kind of each cell that is left; one that none has been of takes the mean of all.

    Returns:
      Seconds; 0 where nothing is left, or nothing is known yet.
    """
    every = [seconds for found in durations.values() for seconds in found]
    if not every:
        return 0.0
    means = {kind: statistics.fmean(found) for kind, found in durations.items()}
    return sum(means.get(kind, statistics.fmean(every)) for kind in left) / min(
        jobs, len(left) or 1
    )


def last_words(cell: QueuedCell) -> str:
    """What a process that failed said last: its error, or how its traceback ends."""
    log = cell.log_file.read_text(encoding="utf-8", errors="replace")
    lines = [line.rstrip() for line in log.splitlines() if line.strip()]
    said = [line for line in lines if line.startswith("error: ")]
    # What is indented only explains what stands before it.
    said = said or [line for line in lines if not line[0].isspace()]
    return said[-1].removeprefix("error: ") if said else "it said nothing"
