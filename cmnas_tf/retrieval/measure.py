"""Measuring embeddings by a data set's protocol, averaged over its trials."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from cmnas_tf.data import LAYOUTS
from cmnas_tf.data.camera_rules import QueryCounts
from cmnas_tf.data.index import Dataset
from cmnas_tf.data.protocols import Protocol, Trial
from cmnas_tf.errors import BadInput
from cmnas_tf.retrieval.ranking import Ranking, dot_product_blocks, rank_blocks
from cmnas_tf.retrieval.rerank import re_rank, require_memory
from cmnas_tf.tables import table

RANKS = (1, 5, 10, 20)
# What is measured: the key in a file of results, and the field's own word.
MEASURES = {**{f"rank{k}": f"Rank-{k}" for k in RANKS}, "mAP": "mAP", "mINP": "mINP"}


class TrialResult(NamedTuple):
    """What came out of one trial."""

    ranking: Ranking  # its measures, means over the queries that count
    counts: QueryCounts  # how many queries count, and why the others do not
    gallery_seed: int | None = None  # what the gallery was drawn with, None where it was not


@dataclass(frozen=True)
class Measured:
    """The average of the trials of one setting."""

    setting: str  # for example "all_single_shot"
    values: dict[str, float]  # means over the trials, 0..1, by the keys of ``MEASURES``
    trials: dict[str, TrialResult]  # the trials' results by their names

    @classmethod
    def average(cls, setting: str, trials: dict[str, TrialResult]) -> "Measured":
        """The mean over trials."""
        found = [result.ranking for result in trials.values()]
        # A gallery with fewer candidates than k finds everybody by its end.
        of_trials = {f"rank{k}": [r.cmc[min(k, len(r.cmc)) - 1] for r in found] for k in RANKS}
        of_trials |= {"mAP": [r.mean_ap for r in found], "mINP": [r.mean_inp for r in found]}
        values = {measure: float(np.mean(numbers)) for measure, numbers in of_trials.items()}
        return cls(setting, values, trials)

    @property
    def queries(self) -> QueryCounts:
        """How many queries count in the trial in which the fewest do; mostly all are alike."""
        return min(result.counts for result in self.trials.values())

    def to_json(self) -> dict[str, Any]:
        """JSON-ready form."""
        per_trial = {
            name: {
                "gallery_seed": result.gallery_seed,
                "rank1": float(result.ranking.cmc[0]),
                "mAP": result.ranking.mean_ap,
                "mINP": result.ranking.mean_inp,
                "queries": result.counts.counted,
                "skipped_queries": result.counts.skipped,
                "absent_queries": result.counts.absent,
                "hidden_queries": result.counts.hidden,
            }
            for name, result in self.trials.items()
        }
        return {**self.values, "trials": per_trial}


def require_measurable(dataset: Dataset, protocol: Protocol | None, rerank: bool) -> None:
    """Raises BadInput if :func:`measure` could not draw a gallery, no query sees a match in it, or
    it cannot be re-ranked in memory."""
    for trial in _trials(dataset, protocol):
        trial.counts.require_any()
        if rerank:
            require_memory(len(trial.query), len(trial.gallery))


def measure(
    embeddings: np.ndarray,
    dataset: Dataset,
    protocol: Protocol | None = None,
    rerank: Mapping[str, Any] | None = None,
) -> list[Measured]:
    """Ranks every trial of a test protocol.

    Args:
      embeddings: [N, D], one row for each of ``dataset.test``, L2-normalised.
      dataset: whose test images ask and answer.
      protocol: the protocol that the data set is registered with; None means its default options.
      rerank: parameters of ``rerank.re_rank``, to rank by its distances under the same rules; None
        ranks by the embeddings themselves.

    Returns:
      One :class:`Measured` for each setting that the protocol has.

    Raises:
      BadInput: the protocol is that of another data set, or the test images do not suffice for it.
    """
    results: dict[str, dict[str, TrialResult]] = {}
    for trial in _trials(dataset, protocol):
        query, gallery = trial.query, trial.gallery
        labels = query.pids, gallery.pids, query.cameras, gallery.cameras
        asking, answering = trial.divided(embeddings, dataset.test)
        if rerank is None:
            blocks: Iterable[np.ndarray] = dot_product_blocks(asking, answering)
        else:
            blocks = [re_rank(asking, answering, **rerank)]
        ranking = rank_blocks(blocks, *labels, trial.rule)
        result = TrialResult(ranking, trial.counts, trial.gallery_seed)
        results.setdefault(trial.setting, {})[trial.name] = result
    return [Measured.average(setting, found) for setting, found in results.items()]


def _trials(dataset: Dataset, protocol: Protocol | None) -> Iterator[Trial]:
    of_dataset = LAYOUTS[dataset.layout].protocol
    protocol = of_dataset() if protocol is None else protocol
    if not isinstance(protocol, of_dataset):
        raise BadInput(
            f"{dataset.layout} is tested by {of_dataset.__name__}. Received: {protocol}. Leave the "
            "protocol out, or give one of that kind."
        )
    return protocol.trials_of(dataset)


def chance(dataset: Dataset, protocol: Protocol | None = None) -> list[Measured]:
    """What random embeddings reach by the same protocol: the floor under every result.

    Neighbours by chance tell nothing about identity, so re-ranking would not move the floor.
    """
    random = np.random.default_rng(0).standard_normal((len(dataset.test), 64))
    unit = random / np.linalg.norm(random, axis=1, keepdims=True)
    return measure(unit.astype(np.float32), dataset, protocol)


def results_table(rows: Iterable[tuple[str, Measured]]) -> str:
    """A table of named results, in percent: Rank-1/5/10/20, mAP, mINP, number of trials."""
    lines = [["", *MEASURES.values(), "trials"]]
    for name, measured in rows:
        lines.append([name, *percent(measured.values), str(len(measured.trials))])
    return table(lines)


def percent(values: Mapping[str, Any], form: str = ".2f") -> list[str]:
    """The measures in ``values``, 0..1 by their keys in results, in percent."""
    return [format(100 * values[measure], form) for measure in MEASURES]
