"""Results as a table on the screen."""

from collections.abc import Iterable, Sequence

from cmnas_tf.retrieval.measure import RANKS, Measured


def results_table(rows: Iterable[tuple[str, Measured]]) -> str:
    """A table of named results, in percent: Rank-1/5/10/20, mAP, mINP, number of trials."""
    header = ["", *(f"Rank-{k}" for k in RANKS), "mAP", "mINP", "trials"]
    lines = [
        [name, *_percent((*m.ranks.values(), m.mean_ap, m.mean_inp)), str(len(m.trials))]
        for name, m in rows
    ]
    return table([header, *lines])


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
    return word.replace(".", "", 1).isdigit()


def _percent(values: Iterable[float]) -> list[str]:
    return [f"{100 * value:.2f}" for value in values]
