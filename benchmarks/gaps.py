"""The bench of sensor gaps: is one rule right for all people, and is the selected network?

python -m benchmarks.gaps runs/gaps/*/cells

takes the finished seeds of these studies over into benchmarks/results/sensor_gaps.json, beside
those that it has, and prints what all of them say. The rows of a seed are compared with each other,
so they come from one machine.
"""

import json
import sys
from collections.abc import Iterable
from itertools import combinations, starmap
from pathlib import Path

import numpy as np
from scipy import stats

from benchmarks.machine import machine
from cmnas_tf.files import write_json
from cmnas_tf.tables import markdown_table

# Searches: by the logits of a short one, and by the fitness of the hand-drawn networks in the
# supernet of one whose learning rate falls to 0, which is what is kept of fitness.
SUBJECTS = ("searched", BY_FITNESS := "by_stages")
KEPT = Path(__file__).parent / "results" / "sensor_gaps.json"

# By kind of people and seed the mAP in percent of each row.
Scores = dict[str, dict[str, dict[str, float]]]


def scores_in(study: Path) -> dict[str, dict[str, float]]:
    """By seed and row the mAP in percent, over the protocol's settings; of whole seeds."""
    found = json.loads((study / "study.json").read_text(encoding="utf-8"))["scores"]
    every = [by_measure["mAP"] for by_measure in found.values()]
    seeds = set.intersection(*(set(row["seeds"]) for row in every[0].values()))
    return {
        seed: {
            row: 100 * float(np.mean([scores[row]["seeds"][seed] for scores in every]))
            for row in every[0]
        }
        for seed in sorted(seeds, key=int)
    }


def commits(study: Path) -> list[str]:
    """Those that a study's cells were trained with."""
    return json.loads((study / "study.json").read_text(encoding="utf-8"))["commits"]


def fitness_in(study: Path) -> dict[str, dict[str, float]]:
    """By seed the retrieval 0..1 of each row's network in the supernet of the selected one."""
    found = json.loads((study / "study.json").read_text(encoding="utf-8")).get("ranking") or {}
    return {
        seed: {row: of["supernet"] for row, of in networks["architectures"].items()}
        for seed, networks in found.get("seeds", {}).items()
    }


def take_over(studies: Iterable[Path], kept: Path) -> Scores:
    """What is kept, with the rows that these studies' seeds have besides."""
    found = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    for study in studies:
        seeds, fitness = found.setdefault(study.parent.name, {}), fitness_in(study)
        for seed, scores in scores_in(study).items():
            of = seeds.setdefault(seed, {"mAP": {}})
            if scores.keys() - of["mAP"]:
                of["mAP"] |= scores
                before = of.get("machine", {}).get("commit", [])
                of["machine"] = machine() | {"commit": sorted({*before, *commits(study)})}
                if BY_FITNESS in scores and seed in fitness:
                    of["fitness"] = fitness[seed]
    write_json(kept, found)
    return {kind: {s: of["mAP"] for s, of in seeds.items()} for kind, seeds in found.items()}


def pooled(differences: list[list[float]]) -> tuple[float, float]:
    """The mean over kinds of their means, and half its 95 % interval.

    Kinds are fixed, their seeds a sample: the error is that of a stratified mean, its degrees of
    freedom are Satterthwaite's. Infinite where a kind has one seed.
    """
    means = [float(np.mean(of_kind)) for of_kind in differences]
    if min(map(len, differences)) < 2:
        return float(np.mean(means)), float("inf")
    parts = np.array([np.var(of_kind, ddof=1) / len(of_kind) for of_kind in differences])
    if not parts.any():
        return float(np.mean(means)), 0.0
    freedom = parts.sum() ** 2 / sum(
        part**2 / (len(of_kind) - 1) for part, of_kind in zip(parts, differences, strict=True)
    )
    reach = stats.t.ppf(0.975, freedom) * np.sqrt(parts.sum()) / len(differences)
    return float(np.mean(means)), float(reach)


def best_elsewhere(seeds: dict[str, dict[str, float]], rules: list[str]) -> dict[str, float]:
    """By seed the mAP of the rule that is best on the kind's other seeds: no luck of its own."""
    means = {
        seed: {r: np.mean([seeds[s][r] for s in seeds if s != seed]) for r in rules}
        for seed in seeds
    }
    return {seed: seeds[seed][max(rules, key=of.__getitem__)] for seed, of in means.items()}


def components(seeds: dict[str, dict[str, float]], rules: list[str]) -> tuple[float, float]:
    """The standard deviations of the rules' true means, and of a training around its rule's.

    By the mean squares of rules and seeds, crossed, whose interaction is what trainings scatter.
    """
    table = np.array([[row[rule] for row in seeds.values()] for rule in rules])  # [rules, seeds]
    table -= table.mean(axis=0)
    of_rules = table.mean(axis=1, keepdims=True)
    freedom = len(rules) - 1
    within = float(((table - of_rules) ** 2).sum()) / (freedom * (len(seeds) - 1))
    between = len(seeds) * float((of_rules**2).sum()) / freedom
    return float(np.sqrt(max(between - within, 0.0) / len(seeds))), float(np.sqrt(within))


def _scatter(scores: Scores, rules: list[str]) -> str:
    """By kind: how far the rules lie apart, how far the trainings of one do, and what is to be
    gained: by how much the best of so many is expected above their mean."""
    found = [components(seeds, rules) for seeds in scores.values()]
    found.append(tuple(np.sqrt(np.mean(np.square(found), axis=0))))
    best = stats.norm.ppf((len(rules) - 0.375) / (len(rules) + 0.25))  # Blom's approximation
    table = [
        [kind, f"{apart:.1f}", f"{scatter:.1f}", f"{best * apart:.1f}"]
        for kind, (apart, scatter) in zip([*scores, "together"], found, strict=True)
    ]
    heads = ["points", "between rules", "between trainings of one", "the best above the mean"]
    return str(markdown_table(heads, table))


def _ahead(word: str, first: dict[str, dict[str, float]], scores: Scores, rows: list[str]) -> str:
    table = []
    for row in rows:
        differences = [
            [value - scores[kind][seed][row] for seed, value in values.items()]
            for kind, values in first.items()
        ]
        mean, reach = pooled(differences)
        table.append([row, f"{mean:+.1f}", f"{mean - reach:+.1f} to {mean + reach:+.1f}"])
    return str(markdown_table([f"{word} minus", "points", "95 % interval"], table))


def _tau(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:+.2f}"


def _selected(subject: str, scores: Scores, fitness: Scores, rules: list[str]) -> str:
    """By kind: the selected networks' mAP beside the rules' of the same seeds; how the fitness of a
    rule agrees with its mean mAP over all seeds, and how two seeds' mAP agree with each other."""

    def tau(one: list[float], other: list[float]) -> float:
        return float(stats.kendalltau(one, other).statistic)

    table = []
    for kind, seeds in scores.items():
        found = {seed: row for seed, row in seeds.items() if subject in row}
        if not found:
            continue
        mean = [np.mean([row[rule] for row in seeds.values()]) for rule in rules]
        of_fitness = [
            tau([of[rule] for rule in rules], mean)
            for seed in found
            if (of := fitness.get(kind, {}).get(seed))
        ]
        every = [[row[rule] for rule in rules] for row in seeds.values()]
        of_seeds = list(starmap(tau, combinations(every, 2)))
        values = [
            np.mean([row[subject] for row in found.values()]),
            np.mean([[row[rule] for rule in rules] for row in found.values()]),
            max(np.mean([row[rule] for row in found.values()]) for rule in rules),
            *(np.mean(taus) if taus else np.nan for taus in (of_fitness, of_seeds)),
        ]
        table.append([kind, len(found), *values])
    if len(table) > 1:
        columns = [*zip(*table, strict=True)]
        table.append(["mean", sum(columns[1]), *np.mean(columns[2:], axis=1)])
    shown = [
        [kind, str(seeds), *(f"{m:.1f}" for m in numbers[:3]), *map(_tau, numbers[3:])]
        for kind, seeds, *numbers in table
    ]
    heads = ["", "seeds", subject, "mean of rules", "best of rules"]
    heads += ["tau of fitness", "tau of two seeds"]
    return str(markdown_table(heads, shown))


def report(scores: Scores, fitness: Scores | None = None) -> str:
    """Tables: the mAP of each row on each kind, what each kind's best rule has ahead of one for
    all, and, as far as there are searches, how the selected networks and their fitness do."""
    every = [row for seeds in scores.values() for row in seeds.values()]
    rows = [name for name in every[0] if all(name in row for row in every)]
    table = []
    for row in rows:
        means = [np.mean([of[row] for of in seeds.values()]) for seeds in scores.values()]
        table.append([row, *(f"{mean:.1f}" for mean in [*means, np.mean(means)])])
    rules = [row for row in rows if row not in (*SUBJECTS, "random")]
    parts = [
        f"mAP in percent; seeds: {', '.join(str(len(seeds)) for seeds in scores.values())}",
        str(markdown_table(["", *scores, "mean"], table)),
    ]
    if all(len(seeds) > 1 for seeds in scores.values()):
        best = {kind: best_elsewhere(seeds, rules) for kind, seeds in scores.items()}
        parts.append(_ahead("best rule of each kind", best, scores, rules))
        parts += [_scatter(scores, rules)] if len(rules) > 1 else []
    for subject in SUBJECTS:
        found = {
            kind: {seed: row[subject] for seed, row in seeds.items() if subject in row}
            for kind, seeds in scores.items()
        }
        if any(found.values()):
            told = (fitness or {}) if subject == BY_FITNESS else {}
            parts.append(_selected(subject, scores, told, rules))
        if all(found.values()):
            parts.append(_ahead(subject, found, scores, rules))
    return "\n\n".join(parts)


if __name__ == "__main__":
    if not sys.argv[1:] and not KEPT.is_file():
        sys.exit("No seed is kept yet: give the folders of studies, runs/gaps/*/cells.")
    scores = take_over(map(Path, sys.argv[1:]), KEPT)
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    fitness = {
        kind: {seed: of["fitness"] for seed, of in seeds.items() if "fitness" in of}
        for kind, seeds in kept.items()
    }
    print(report(scores, fitness))
