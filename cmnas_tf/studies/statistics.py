"""What a few seeds say: means with intervals, paired differences, agreement."""

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
# Fewer pairs cannot give a two-sided Wilcoxon p below 0.05: at 5, the least is 2 / 2^5 = 0.0625.
_WILCOXON_PAIRS = 6


class Summary(NamedTuple):
    """Some numbers in short.

    Attributes:
      number: how many.
      mean: their mean.
      deviation: sample standard deviation (n - 1); None of a single number.
      interval: the 95 % interval of the mean by Student's t; None of a single number.
    """

    number: int
    mean: float
    deviation: float | None
    interval: tuple[float, float] | None


class Difference(NamedTuple):
    """A paired comparison: what one has more than another, seed by seed.

    Attributes:
      summary: of the differences.
      t_test: two-sided p of the paired t-test; None where it has none (one pair, or all
        differences alike).
      wilcoxon: two-sided exact p of the signed-rank test; None of fewer than six pairs, which
        cannot be significant, and where differences are 0.
      adjusted: ``t_test`` corrected for the comparisons made beside this one (Holm).
    """

    summary: Summary
    t_test: float | None
    wilcoxon: float | None
    adjusted: float | None = None


def summarise(values: Sequence[float]) -> Summary:
    """One or more numbers in short."""
    number, mean = len(values), float(np.mean(values))
    if number == 1:
        return Summary(number, mean, None, None)
    deviation = float(np.std(values, ddof=1))
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, number - 1)) * deviation / number**0.5
    return Summary(number, mean, deviation, (mean - reach, mean + reach))


def differences(
    subject: Mapping[int, float], others: Mapping[str, Mapping[int, float]]
) -> dict[str, Difference]:
    """Compares one with several others; seeds that only one of the two has are left out.

    Args:
      subject: scores by seed.
      others: by name, scores by seed; those that share no seed with the subject are left out.

    Returns:
      By name the difference, subject minus other, the p-values corrected for all of them.
    """
    found = {}
    for name, scores in others.items():
        seeds = sorted(set(subject) & set(scores))
        if seeds:
            found[name] = _difference([subject[seed] - scores[seed] for seed in seeds])
    tested = {name: d.t_test for name, d in found.items() if d.t_test is not None}
    adjusted = dict(zip(tested, holm(list(tested.values())), strict=True))
    return {name: d._replace(adjusted=adjusted.get(name)) for name, d in found.items()}


def _difference(values: Sequence[float]) -> Difference:
    t_test = wilcoxon = None
    if len(values) > 1 and np.ptp(values) > 0:
        t_test = float(stats.ttest_1samp(values, 0.0).pvalue)
    if len(values) >= _WILCOXON_PAIRS and all(values):
        wilcoxon = float(stats.wilcoxon(values, method="exact").pvalue)
    return Difference(summarise(values), t_test, wilcoxon)


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


def over_pairs(function: Callable[[Any, Any], Any], items: Sequence[Any]) -> list[Any]:
    """``function`` of every two of the items."""
    return [function(one, other) for one, other in itertools.combinations(items, 2)]
