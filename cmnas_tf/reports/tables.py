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
    """Columns of equal width: the first to the left, the others to the right; a header line."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = [
        "  ".join(
            word.ljust(width) if place == 0 else word.rjust(width)
            for place, (word, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([text[0], "-" * (sum(widths) + 2 * len(widths) - 2), *text[1:]])


def _percent(values: Iterable[float]) -> list[str]:
    return [f"{100 * value:.2f}" for value in values]
