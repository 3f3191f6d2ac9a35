"""Tables, on the screen and in files."""

import csv
import io
from collections.abc import Sequence

from tabulate import SEPARATING_LINE, DataRow, Line, TableFormat, tabulate

from cmnas_tf.errors import printable

_ROW = DataRow("", "  ", "")
_SCREEN = TableFormat(None, Line("", "-", "--", ""), None, None, _ROW, _ROW, 0, None)


def table(lines: Sequence[Sequence[str]]) -> str:
    """Columns of equal width, numbers to the right and words to the left; the first line heads."""
    head, *rows = [list(map(printable, line)) for line in lines]
    numeric = [all(map(_is_number, column[1:])) for column in zip(*lines, strict=True)]
    return tabulate(
        [head, [SEPARATING_LINE], *rows],  # as tabulate's `headers` it would widen the columns
        tablefmt=_SCREEN,
        colalign=["right" if right else "left" for right in numeric],
        disable_numparse=True,  # which would write 0.50 as 0.5
    )


def markdown_table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table for GitHub, whose columns are aligned in the source too."""
    return tabulate(lines, head, tablefmt="github", disable_numparse=True)


def formatted(lines: Sequence[Sequence[str]], form: str) -> str:
    """A table as ``"text"``, ``"markdown"``, ``"latex"`` or ``"csv"``; the first line heads."""
    lines = [list(map(printable, line)) for line in lines]
    if form == "csv":
        csv.writer(text := io.StringIO(), lineterminator="\n").writerows(lines)
        return text.getvalue().rstrip("\n")
    head, *rows = lines
    if form == "latex":
        return tabulate(rows, head, tablefmt="latex_booktabs", disable_numparse=True)
    return markdown_table(head, rows) if form == "markdown" else table(lines)


def _is_number(word: str) -> bool:
    return word.removeprefix("+").removeprefix("-").replace(".", "", 1).isdigit()
