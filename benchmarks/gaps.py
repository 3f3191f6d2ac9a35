"""The bench of sensor gaps: what a search selects against each fixed rule, by kind and pooled.

python -m benchmarks.gaps runs/gaps/*/cells
"""

import json
import sys
from pathlib import Path

import numpy as np
from scipy import stats

from cmnas_tf.tables import markdown_table

SUBJECT = "by_stages"


def scores_in(study: Path) -> dict[str, dict[str, float]]:
    """By row and seed the mAP in percent, the mean over the protocol's settings."""
    found = json.loads((study / "study.json").read_text(encoding="utf-8"))["scores"]
    every = [by_measure["mAP"] for by_measure in found.values()]
    return {
        row: {
            seed: 100 * float(np.mean([scores[row]["seeds"][seed] for scores in every]))
            for seed in every[0][row]["seeds"]
        }
        for row in every[0]
    }


def pooled(differences: list[list[float]]) -> tuple[float, float]:
    """The mean over kinds of their means, and half its 95 % interval.

    Kinds are fixed, their seeds a sample: the error is that of a stratified mean, its degrees of
    freedom are Satterthwaite's. Infinite where a kind has one seed.
    """
    means = [float(np.mean(of_kind)) for of_kind in differences]
    if min(map(len, differences)) < 2:
        return float(np.mean(means)), float("inf")
    parts = np.array([np.var(of_kind, ddof=1) / len(of_kind) for of_kind in differences])
    freedom = parts.sum() ** 2 / sum(
        part**2 / (len(of_kind) - 1) for part, of_kind in zip(parts, differences, strict=True)
    )
    reach = stats.t.ppf(0.975, freedom) * np.sqrt(parts.sum()) / len(differences)
    return float(np.mean(means)), float(reach)


def report(studies: list[Path]) -> str:
    """Two tables: the mAP of each row on each kind, and what the selected network has ahead."""
    by_kind = {study.parent.name: scores_in(study) for study in studies}
    rows = list(dict.fromkeys(row for scores in by_kind.values() for row in scores))
    table = []
    for row in rows:
        means = [float(np.mean(list(scores[row].values()))) for scores in by_kind.values()]
        table.append([row, *(f"{mean:.1f}" for mean in [*means, float(np.mean(means))])])
    seeds = ", ".join(str(len(scores[SUBJECT])) for scores in by_kind.values())
    ahead = []
    for row in rows:
        if row != SUBJECT:
            differences = [
                [scores[SUBJECT][seed] - scores[row][seed] for seed in scores[SUBJECT]]
                for scores in by_kind.values()
            ]
            mean, reach = pooled(differences)
            ahead.append([row, f"{mean:+.1f}", f"{mean - reach:+.1f} to {mean + reach:+.1f}"])
    return (
        f"mAP in percent; seeds: {seeds}\n\n"
        f"{markdown_table(['', *by_kind, 'mean'], table)}\n\n"
        f"{markdown_table([f'{SUBJECT} minus', 'points', '95 % interval'], ahead)}"
    )


if __name__ == "__main__":
    print(report([Path(folder) for folder in sys.argv[1:]]))
