"""One look for all that goes on: redrawn in place in a terminal, a line now and then elsewhere."""

import contextlib
import logging
import os
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from datetime import timedelta
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from cmnas_tf.charts import BLUE, ORANGE
from cmnas_tf.errors import printable

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

_LIVELY, _PLAIN = 0.5, 30.0  # seconds from one look to the next
_LOOKS = 60  # the newest, of which the pace is taken
_CELLS = "▁▂▃▄▅▆▇█"
_NEARLY_EVEN = 0.1  # as a part of even


class Leanings(NamedTuple):
    """How much a search is for each of its decisions.

    Attributes:
      by_decision: 0..1 by name; those whose names are alike up to the first dot share a row.
      even: what they are as long as nothing is decided.
    """

    by_decision: Mapping[str, float] = {}
    even: float = 0.5


class ProgressBar:
    """How far something has come.

    Attributes:
      title: in front of the bar.
      words: behind it.
      leanings: below it, in a terminal.
    """

    def __init__(self, total: int, unit: str, shown: bool, initial: int):
        self.title = self.words = ""
        self.leanings = Leanings()
        self._total, self._unit, self._done, self._shown = total, unit, initial, shown
        self._begun = time.monotonic()
        self._looks = deque([(self._begun, initial)], _LOOKS)
        self._live: Live | None = None

    def update(self, count: int = 1) -> None:
        """So many more units are done."""
        self._done += count
        if time.monotonic() - self._looks[-1][0] >= (_LIVELY if self._live else _PLAIN):
            self._look()

    @contextlib.contextmanager
    def showing(self) -> "Iterator[ProgressBar]":
        """Shows it on stderr for a while, and how far it came at the end."""
        with contextlib.ExitStack() as stack:
            if self._shown and sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb":
                stack.enter_context(self._in_place())
            self._look()
            stack.callback(self._look)
            yield self

    @contextlib.contextmanager
    def _in_place(self) -> Iterator[None]:
        from rich.console import Console
        from rich.live import Live

        self._live = Live(
            console=Console(stderr=True),
            auto_refresh=False,
            redirect_stdout=False,  # it may be a file
            get_renderable=self._drawn,
        )
        terminal = sys.stderr
        with self._live, contextlib.ExitStack() as stack:
            # What is logged meanwhile is to stand above; ``sys.stderr`` does that now.
            for handler in logging.getLogger("cmnas_tf").handlers:
                if isinstance(handler, logging.StreamHandler) and handler.stream is terminal:
                    handler.setStream(sys.stderr)
                    stack.callback(handler.setStream, terminal)
            yield

    def _look(self) -> None:
        self._looks.append((time.monotonic(), self._done))
        if self._live:
            self._live.refresh()
        elif self._shown:
            bar = "#" * (16 * self._done // max(1, self._total))
            said = f"{self.title} |{bar:16}| {self._counted()} {self.words}"
            sys.stderr.write(f"{printable(said).strip()}\n")

    def _counted(self) -> str:
        (then, before), (now, done) = self._looks[0], self._looks[-1]
        said = f"{done}/{self._total} {_clock(now - self._begun)}"
        if done == before:
            return said
        each = max(1e-9, (now - then) / (done - before))
        pace = f"{each:.2f} s/{self._unit}" if each > 1 else f"{1 / each:.2f} {self._unit}/s"
        return f"{said}<{_clock(each * (self._total - done))} {pace}"

    def _drawn(self) -> "Table":
        from rich.progress_bar import ProgressBar as Bar
        from rich.table import Table
        from rich.text import Text

        line, strip, whole = Table.grid(padding=(0, 1)), Table.grid(padding=(0, 1)), Table.grid()
        for no_wrap in (True, False, True):
            line.add_column(no_wrap=no_wrap)
        counted = Text(self._counted())
        line.add_row(Text(printable(self.title)), Bar(max(1, self._total), self._done), counted)
        strip.add_column(no_wrap=True)
        strip.add_column(overflow="fold")
        by_decision, even = self.leanings
        for row, names in groupby(by_decision, lambda name: name.split(".")[0]):
            cells = (_cell(by_decision[name], even) for name in names)
            strip.add_row(Text(printable(row), "dim"), Text.assemble(*cells))
        for part in (line, Text(printable(self.words)), strip if by_decision else None):
            if part:
                whole.add_row(part)
        return whole


def _cell(value: float, even: float) -> tuple[str, str]:
    """A character as high as a leaning, and its colour: as in charts, or faint if nearly even."""
    character = _CELLS[min(len(_CELLS) - 1, int(len(_CELLS) * value))]
    if abs(value - even) < _NEARLY_EVEN * even:
        return character, "dim"
    return character, BLUE if value > even else ORANGE


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=int(seconds)))


def progress_bar(
    total: int, unit: str, shown: bool, initial: int = 0
) -> contextlib.AbstractContextManager[ProgressBar]:
    """A bar on stderr: redrawn in place in a terminal, a line every half minute in a log file.

    Args:
      total: how many units there are.
      unit: what they are called, in the singular.
      shown: whether to show anything at all.
      initial: how many were done before.
    """
    return ProgressBar(total, unit, shown, initial).showing()
