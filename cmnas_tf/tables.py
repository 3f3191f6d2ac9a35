"""Results as a table, on the screen and in Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tabulate import SEPARATING_LINE, DataRow, Line, TableFormat, tabulate

from cmnas_tf.evaluation.measure import MEASURES, Measured

_ROW = DataRow("", "  ", "")
_SCREEN = TableFormat(None, Line("", "-", "--", ""), None, None, _ROW, _ROW, 0, None)


def results_table(rows: Iterable[tuple[str, Measured]]) -> str:
    """A table of named results, in percent: Rank-1/5/10/20, mAP, mINP, number of trials."""
    lines = [["", *MEASURES.values(), "trials"]]
    for name, measured in rows:
        lines.append([name, *percent(measured.values), str(len(measured.trials))])
    return table(lines)


def percent(values: Mapping[str, Any], form: str = ".2f") -> list[str]:
    """The measures in ``values``, 0..1 by their keys in results.json, in percent."""
    return [format(100 * values[measure], form) for measure in MEASURES]


def table(lines: Sequence[Sequence[str]]) -> str:
    """Columns of equal width, numbers to the right and words to the left; the first line heads."""
    head, *rows = lines
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


def _is_number(word: str) -> bool:
    return word.removeprefix("+").removeprefix("-").replace(".", "", 1).isdigit()
