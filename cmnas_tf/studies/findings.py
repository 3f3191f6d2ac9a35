"""From the results of finished cells to what a study found, JSON-ready."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cmnas_tf.architecture import Architecture
from cmnas_tf.errors import BadInput
from cmnas_tf.studies import statistics
from cmnas_tf.studies.plan import SCHEMA, Study, StudyCell
from cmnas_tf.studies.statistics import separate_shares, stage_worth

MEASURES = {"rank1": "Rank-1", "mAP": "mAP", "mINP": "mINP"}

CellResults = Mapping[str, Any]


def findings(study: Study) -> dict[str, Any]:
    """All that the finished cells of a study say; what is not finished is listed.

    Returns:
      What ``study.json`` holds: the arms ``like_subject``; ``scores`` by setting, measure and row;
      ``differences`` of the subject by setting, measure and row; ``searches`` by arm; ``ranking``
      of the supernet; what separating each of the ``stages`` is worth; ``unfinished`` cells.

    Raises:
      BadInput: cells of one seed were tested on different images, or done with other settings.
    """
    cells = study.cells()
    finished = {cell: found for cell in cells if (found := cell.results()) is not None}
    _require_same_images(finished)
    subject, against = study.comparison.subject, study.comparison.against
    nothing: CellResults = {"results": {}, "chance": {}}
    any_results = next(iter(finished.values()), nothing)
    scores: dict[str, Any] = {}
    differences: dict[str, Any] = {}
    for setting in any_results["results"]:
        scores[setting], differences[setting] = {}, {}
        for measure in MEASURES:
            by_row = _scores(finished, setting, measure)
            scores[setting][measure] = {
                row: {"seeds": by_seed, **statistics.summarise([*by_seed.values()])}
                for row, by_seed in by_row.items()
            }
            others = {row: by_row[row] for row in against if row in by_row}
            found = statistics.differences(by_row.get(subject, {}), others)
            differences[setting][measure] = found
    return {
        "schema": SCHEMA,
        "settings": study.settings,
        "commits": sorted({str(found["commit"]) for found in finished.values()}),
        "like_subject": list(study.like_subject),
        "rows": list(dict.fromkeys(arm.row for arm in study.arms)),
        "chance": any_results["chance"],
        "scores": scores,
        "differences": differences,
        "searches": _searches(finished),
        "ranking": _ranking(finished, subject),
        "stages": _stages(finished, subject),
        "unfinished": {
            cell.name: (cell.failure() or {}).get("message")
            for cell in cells
            if cell not in finished
        },
    }


def _require_same_images(finished: Mapping[StudyCell, CellResults]) -> None:
    first: dict[int, tuple[StudyCell, str]] = {}
    for cell, found in finished.items():
        other, fingerprint = first.setdefault(cell.seed, (cell, found["fingerprint"]))
        if found["fingerprint"] != fingerprint:
            raise BadInput(
                f"{cell.folder} and {other.folder} are of different images, so they say nothing "
                "about each other. Begin anew in another `run_dir`."
            )


def _scores(
    finished: Mapping[StudyCell, CellResults], setting: str, measure: str
) -> dict[str, dict[int, float]]:
    """By row and seed, 0..1; of several random architectures their mean."""
    found: dict[str, dict[int, list[float]]] = {}
    for cell, results in finished.items():
        value = results["results"][setting][measure]
        found.setdefault(cell.arm.row, {}).setdefault(cell.seed, []).append(value)
    return {
        row: {seed: float(np.mean(values)) for seed, values in by_seed.items()}
        for row, by_seed in found.items()
    }


def _searches(finished: Mapping[StudyCell, CellResults]) -> dict[str, Any]:
    """By arm: what each seed's search chose, how alike, how decided, and at what cost."""
    by_arm: dict[str, dict[int, CellResults]] = {}
    for cell, results in finished.items():
        if results["decided"] is not None:
            by_arm.setdefault(cell.arm.name, {})[cell.seed] = results
    return {name: _search(by_seed) for name, by_seed in by_arm.items()}


def _search(by_seed: Mapping[int, CellResults]) -> dict[str, Any]:
    decided = [results["decided"] for results in by_seed.values()]
    chosen = [found["chosen"] for found in decided]
    probabilities = [found.get("probabilities") or found["leanings"] for found in decided]
    values = [list(by_name.values()) for by_name in probabilities]
    possible = len(values[0])
    pairs = list(itertools.combinations(chosen, 2))
    by_chance = [statistics.jaccard_by_chance(len(a), len(b), possible) for a, b in pairs]
    return {
        "chosen": dict(zip(by_seed, chosen, strict=True)),
        "probabilities": dict(zip(by_seed, probabilities, strict=True)),
        "jaccard": _mean([statistics.jaccard(a, b) for a, b in pairs]),
        "jaccard_by_chance": _mean(by_chance),
        "kendall": _mean([statistics.kendall(a, b) for a, b in itertools.combinations(values, 2)]),
        "seconds": _mean([found["seconds"]["search"] for found in by_seed.values()]),
        "trainings": _mean([_in_trainings(found["seconds"]) for found in by_seed.values()]),
    }


def _in_trainings(seconds: Mapping[str, float | None]) -> float | None:
    """The search's seconds as a multiple of the training's, where both are known."""
    search, train = seconds["search"], seconds["train"]
    return search / train if search is not None and train is not None else None


def _ranking(finished: Mapping[StudyCell, CellResults], subject: str) -> dict[str, Any]:
    """By seed: what supernet and training say of each architecture, and how well they agree."""
    results = {(cell.arm.name, cell.seed): found for cell, found in finished.items()}
    by_seed: dict[int, Any] = {}
    for (name, seed), found in results.items():
        if name != subject or not found["supernet_scores"]:
            continue
        pairs = {
            arm: {"supernet": score, "trained": _main_score(results[arm, seed])}
            for arm, score in found["supernet_scores"].items()
            if score is not None and (arm, seed) in results
        }
        columns = [[pair[kind] for pair in pairs.values()] for kind in ("supernet", "trained")]
        tau = statistics.kendall(*columns) if len(pairs) > 1 else None
        by_seed[seed] = {"architectures": pairs, "kendall": tau}
    taus = [found["kendall"] for found in by_seed.values() if found["kendall"] is not None]
    return {
        "seeds": by_seed,
        "kendall": statistics.summarise(taus) if taus else None,
    }


def _stages(finished: Mapping[StudyCell, CellResults], subject: str) -> dict[str, Any] | None:
    """What separating each stage is worth, beside the share of it that the subject separates."""
    architectures = {
        cell: Architecture.from_json(found["architecture"]) for cell, found in finished.items()
    }
    found = stage_worth(
        [(a, cell.seed, _main_score(finished[cell])) for cell, a in architectures.items()]
    )
    searched = [separate_shares(a) for cell, a in architectures.items() if cell.arm.name == subject]
    for stage, worth in found["stages"].items() if found else ():
        worth["separated"] = _mean([shares[stage] for shares in searched])
    return found


def _main_score(results: CellResults) -> float:
    """The mAP that a cell's network reached, the mean over the protocol's settings."""
    return float(np.mean([found["mAP"] for found in results["results"].values()]))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
