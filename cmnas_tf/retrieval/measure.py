"""Measuring embeddings by a data set's protocol, averaged over its trials."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from cmnas_tf.data.index import Dataset
from cmnas_tf.retrieval.embed import rows_of
from cmnas_tf.retrieval.protocols import trials
from cmnas_tf.retrieval.ranking import Ranking, has_match, rank_embeddings

RANKS = (1, 5, 10, 20)


class TrialResult(NamedTuple):
    """What came out of one trial.

    Attributes:
      ranking: its measures, means over ``queries``.
      queries: number of queries that count.
      skipped: number of queries that have no match in the gallery and do not count.
    """

    ranking: Ranking
    queries: int
    skipped: int


@dataclass(frozen=True)
class Measured:
    """The average of the trials of one setting; all values in 0..1.

    Attributes:
      setting: for example ``"all_single_shot"``.
      ranks: ``{k: Rank-k}``.
      mean_ap: mean average precision.
      mean_inp: mean inverse negative penalty.
      trials: the trials' results by their names.
    """

    setting: str
    ranks: dict[int, float]
    mean_ap: float
    mean_inp: float
    trials: dict[str, TrialResult]

    @classmethod
    def average(cls, setting: str, trials: dict[str, TrialResult]) -> "Measured":
        """The mean over trials."""
        found = [result.ranking for result in trials.values()]
        # A gallery with fewer candidates than k finds everybody by its end.
        ranks = {k: float(np.mean([r.cmc[min(k, len(r.cmc)) - 1] for r in found])) for k in RANKS}
        mean_ap = float(np.mean([r.mean_ap for r in found]))
        mean_inp = float(np.mean([r.mean_inp for r in found]))
        return cls(setting, ranks, mean_ap, mean_inp, trials)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready form."""
        per_trial = {
            name: {
                "rank1": float(result.ranking.cmc[0]),
                "mAP": result.ranking.mean_ap,
                "mINP": result.ranking.mean_inp,
                "queries": result.queries,
                "skipped_queries": result.skipped,
            }
            for name, result in self.trials.items()
        }
        ranks = {f"rank{k}": value for k, value in self.ranks.items()}
        return {**ranks, "mAP": self.mean_ap, "mINP": self.mean_inp, "trials": per_trial}


def measure(embeddings: np.ndarray, dataset: Dataset, **protocol: Any) -> list[Measured]:
    """Ranks every trial of the data set's protocol.

    Args:
      embeddings: [N, D], one row for each of ``dataset.test``, L2-normalised.
      dataset: which has the protocol.
      **protocol: settings of the protocol, see ``protocols.trials``.

    Returns:
      One :class:`Measured` for each setting that the protocol has.
    """
    results: dict[str, dict[str, TrialResult]] = {}
    for trial in trials(dataset, **protocol):
        query, gallery = trial.query, trial.gallery
        labels = query.pids, gallery.pids, query.cameras, gallery.cameras
        ranking = rank_embeddings(
            embeddings[rows_of(dataset.test, query)],
            embeddings[rows_of(dataset.test, gallery)],
            *labels,
            trial.rule,
        )
        counted = int(np.count_nonzero(has_match(*labels, trial.rule)))
        result = TrialResult(ranking, counted, len(query) - counted)
        results.setdefault(trial.setting, {})[trial.name] = result
    return [Measured.average(setting, found) for setting, found in results.items()]


def chance(dataset: Dataset, **protocol: Any) -> list[Measured]:
    """What random embeddings reach by the same protocol: the floor under every result."""
    random = np.random.default_rng(0).standard_normal((len(dataset.test), 64))
    unit = random / np.linalg.norm(random, axis=1, keepdims=True)
    return measure(unit.astype(np.float32), dataset, **protocol)
