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
from typing import TYPE_CHECKING

from cmnas_tf.charts import BLUE, ORANGE
from cmnas_tf.errors import printable

if TYPE_CHECKING:
    from rich.console import Group
    from rich.live import Live

_LIVELY, _PLAIN = 0.5, 30.0  # seconds from one look to the next
_LOOKS = 60  # the newest, of which the pace is taken
_CELLS = "▁▂▃▄▅▆▇█"
_EVEN = 0.05  # from a half, and less: faint


class ProgressBar:
    """How far something has come.

    Attributes:
      title, words: in front of the bar, and behind it.
      leanings: below it in a terminal, 0..1 by name; what is alike up to the first dot in one row.
    """

    def __init__(self, total: int, unit: str, shown: bool, initial: int):
        self.title = self.words = ""
        self.leanings: Mapping[str, float] = {}
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
    def _in_place(self) -> Iterator[None]:
        from rich.console import Console
        from rich.live import Live

        terminal, console = sys.stderr, Console(stderr=True)
        self._live = Live(
            console=console, auto_refresh=False, redirect_stdout=False, get_renderable=self._drawn
        )
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

    def _last_look(self) -> None:
        if self._live or self._looks[-1][1] != self._done:
            self._look()

    def _counted(self) -> str:
        (then, before), (now, done) = self._looks[0], self._looks[-1]
        said = f"{done}/{self._total} {_clock(now - self._begun)}"
        if done == before:
            return said
        each = max(1e-9, (now - then) / (done - before))
        pace = f"{each:.2f} s/{self._unit}" if each > 1 else f"{1 / each:.2f} {self._unit}/s"
        return f"{said}<{_clock(each * (self._total - done))} {pace}"

    def _drawn(self) -> "Group":
        from rich.console import Group
        from rich.progress_bar import ProgressBar as Bar
        from rich.table import Table
        from rich.text import Text

        line, strip = Table.grid(padding=(0, 1)), Table.grid(padding=(0, 1))
        title = [Text(printable(self.title))] if self.title else []
        for no_wrap in (*map(bool, title), False, True):
            line.add_column(no_wrap=no_wrap)
        line.add_row(*title, Bar(max(1, self._total), self._done), Text(self._counted()))
        strip.add_column(no_wrap=True)
        strip.add_column(overflow="fold")
        for row, names in groupby(self.leanings, lambda name: name.split(".")[0]):
            cells = (_cell(self.leanings[name]) for name in names)
            strip.add_row(Text(printable(row), "dim"), Text.assemble(*cells))
        words = [Text(printable(self.words))] if self.words else []
        return Group(line, *words, *([strip] if self.leanings else []))


def _cell(value: float) -> tuple[str, str]:
    """A character as high as a leaning, and its colour: as in charts."""
    colour = BLUE if value > 0.5 else ORANGE
    character = _CELLS[min(len(_CELLS) - 1, int(len(_CELLS) * value))]
    return character, "dim" if abs(value - 0.5) < _EVEN else colour


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=int(seconds)))


@contextlib.contextmanager
def progress_bar(total: int, unit: str, shown: bool, initial: int = 0) -> Iterator[ProgressBar]:
    """A bar on stderr: redrawn in place in a terminal, a line every half minute in a log file.

    Args:
      total: how many units there are.
      unit: what they are called, in the singular.
      shown: whether to show anything at all.
      initial: how many were done before.
    """
    bar = ProgressBar(total, unit, shown, initial)
    with contextlib.ExitStack() as stack:
        if shown and sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb":
            stack.enter_context(bar._in_place())
        bar._look()
        stack.callback(bar._last_look)
        yield bar
