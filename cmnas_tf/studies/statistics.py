"""What a few seeds say: means with intervals, paired differences, agreement, worths of stages."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from cmnas_tf.architecture import SEPARATE, Architecture, stage_of, stages_of

_CONFIDENCE = 0.95
# Fewer pairs cannot give a two-sided Wilcoxon p below 0.05: at 5, the least is 2 / 2^5 = 0.0625.
_WILCOXON_PAIRS = 6


def summarise(values: Sequence[float]) -> dict[str, Any]:
    """One or more numbers in short.

    Returns:
      ``number``, how many; their ``mean``; ``deviation``, of the sample (n - 1), and ``interval``,
      the 95 % interval of the mean by Student's t; None of a single number.
    """
    number, mean = len(values), float(np.mean(values))
    deviation = interval = None
    if number > 1:
        deviation = float(np.std(values, ddof=1))
        reach = _t_quantile(number - 1) * deviation / number**0.5
        interval = (mean - reach, mean + reach)
    return {"number": number, "mean": mean, "deviation": deviation, "interval": interval}


def _t_quantile(freedom: int) -> float:
    """Standard errors from the middle of a 95 % interval to its ends, by Student's t."""
    return float(stats.t.ppf((1 + _CONFIDENCE) / 2, freedom))


def differences(
    subject: Mapping[int, float], others: Mapping[str, Mapping[int, float]]
) -> dict[str, dict[str, Any]]:
    """Compares one with several others, seed by seed; seeds that only one has are left out.

    Args:
      subject: scores by seed.
      others: by name, scores by seed; those that share no seed with the subject are left out.

    Returns:
      By name what there is to say of the differences, subject minus other: that of
      :func:`summarise`; ``t_test``, two-sided p of the paired t-test, None where it has none (one
      pair, or all differences alike); ``wilcoxon``, two-sided exact p of the signed-rank test, None
      of fewer than six pairs, which cannot be significant, and where differences are 0;
      ``adjusted``, the ``t_test`` corrected for all these comparisons (Holm).
    """
    found = {}
    for name, scores in others.items():
        seeds = sorted(set(subject) & set(scores))
        if seeds:
            found[name] = _difference([subject[seed] - scores[seed] for seed in seeds])
    tested = {name: d["t_test"] for name, d in found.items() if d["t_test"] is not None}
    adjusted = dict(zip(tested, holm(list(tested.values())), strict=True))
    return {name: {**d, "adjusted": adjusted.get(name)} for name, d in found.items()}


def _difference(values: Sequence[float]) -> dict[str, Any]:
    t_test = wilcoxon = None
    if len(values) > 1 and np.ptp(values) > 0:
        t_test = float(stats.ttest_1samp(values, 0.0).pvalue)
    if len(values) >= _WILCOXON_PAIRS and all(values):
        wilcoxon = float(stats.wilcoxon(values, method="exact").pvalue)
    return {**summarise(values), "t_test": t_test, "wilcoxon": wilcoxon}


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for being several (Holm, 1979): the chance of any false one stays theirs.

    The k-th smallest of n is multiplied by n - k + 1, is at least the one before it, at most 1.
    """
    order = np.argsort(p_values)
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.minimum(np.maximum.accumulate(factors * np.asarray(p_values)[order]), 1.0)
    found = np.empty(len(p_values))
    found[order] = adjusted
    return found.tolist()


def kendall(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Kendall's tau-b of two rankings, -1..1; None where one of them does not rank at all."""
    tau = float(stats.kendalltau(one, other).statistic)
    return tau if np.isfinite(tau) else None


def jaccard(one: Collection[str], other: Collection[str]) -> float:
    """Part of what either set has that both have, 0..1; 1 of two empty sets."""
    union = set(one) | set(other)
    return len(set(one) & set(other)) / len(union) if union else 1.0


def jaccard_by_chance(one: int, other: int, of: int) -> float:
    """What :func:`jaccard` is on average of two random sets of these sizes among ``of`` things."""
    if not one + other:
        return 1.0
    common = np.arange(min(one, other) + 1)
    chances = stats.hypergeom.pmf(common, of, one, other)
    return float(np.sum(chances * common / (one + other - common)))


def stage_worth(trainings: Sequence[tuple[Architecture, int, float]]) -> dict[str, Any] | None:
    """What it is worth to separate a stage's norms, by all trainings of a study together.

    The scatter of a training is as large as what most architectures differ by; together the
    trainings say more than one by one. Least squares (our choice): a score is its seed's, plus each
    stage's worth times its share of separate; that stages add up is the assumption. All are of one
    backbone.

    Args:
      trainings: of each the architecture, the seed and the score that it reached, 0..1.

    Returns:
      ``stages``: by name ``worth``, of separating all of it, and its 95 % ``interval`` (t);
      ``scatter``: sample standard deviation of what is left, a training's own; ``trainings``: how
      many. None where the trainings cannot tell the stages apart.
    """
    if not trainings:
        return None
    architectures, seed_of, scores = zip(*trainings, strict=True)
    stages, seeds = stages_of(architectures[0].backbone), sorted(set(seed_of))
    of_seed = [[own == seed for seed in seeds] for own in seed_of]
    shares = [list(separate_shares(architecture).values()) for architecture in architectures]
    x = np.hstack([np.array(of_seed, np.float64), np.array(shares)])  # [trainings, seeds + stages]
    y = np.array(scores)
    freedom = len(y) - x.shape[1]
    if freedom < 1 or np.linalg.matrix_rank(x) < x.shape[1]:
        return None
    found, *_ = np.linalg.lstsq(x, y, rcond=None)
    variance = float(np.sum(np.square(y - x @ found))) / freedom
    errors = np.sqrt(variance * np.diag(np.linalg.inv(x.T @ x)))
    reach = _t_quantile(freedom) * errors
    return {
        "stages": {
            stage: {"worth": float(worth), "interval": (float(worth - r), float(worth + r))}
            for stage, worth, r in zip(
                stages, found[len(seeds) :], reach[len(seeds) :], strict=True
            )
        },
        "scatter": variance**0.5,
        "trainings": len(y),
    }


def separate_shares(architecture: Architecture) -> dict[str, float]:
    """By stage the share of its norms that are separate, 0..1."""
    choices = architecture.choices.items()
    return {
        stage: float(
            np.mean([choice == SEPARATE for site, choice in choices if stage_of(site) == stage])
        )
        for stage in stages_of(architecture.backbone)
    }
