"""Results as a table on the screen."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cmnas_tf.evaluation.measure import MEASURES, Measured


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
    columns = list(zip(*lines, strict=True))
    widths = [max(map(len, column)) for column in columns]
    numeric = [all(map(_is_number, column[1:])) for column in columns]
    text = [
        "  ".join(
            word.rjust(width) if right else word.ljust(width)
            for word, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in lines
    ]
    return "\n".join([text[0], "-" * (sum(widths) + 2 * len(widths) - 2), *text[1:]])


def _is_number(word: str) -> bool:
    return word.removeprefix("+").removeprefix("-").replace(".", "", 1).isdigit()
