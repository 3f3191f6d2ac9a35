"""Statistics of few seeds: by hand, and against other ways of computing them."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from cmnas_tf.studies.statistics import (
    differences,
    holm,
    jaccard,
    jaccard_by_chance,
    kendall,
    summarise,
)


def test_summary_by_hand():
    """1, 2, 3, 4, 5: mean 3, squares of the deviations 4 + 1 + 0 + 1 + 4 = 10 over 4 = 2.5, so
    s = 1.5811. Student's t for 4 degrees of freedom is 2.7764 (of any table); 2.7764 * 1.5811 /
    sqrt(5) = 1.9632."""
    found = summarise([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (found["number"], found["mean"]) == (5, 3.0)
    assert found["deviation"] == pytest.approx(1.5811, abs=1e-4)
    assert found["interval"] == pytest.approx((3 - 1.9632, 3 + 1.9632), abs=1e-4)


def test_one_number_has_no_spread():
    assert tuple(summarise([0.5]).values()) == (1, 0.5, None, None)


def test_paired_differences_by_hand():
    """Subject minus other, seed by seed: 1, 3, 2 (seed 9 is the subject's alone). Mean 2, s = 1,
    t = 2 / (1 / sqrt(3)) = 3.4641 with 2 degrees of freedom, of which the two-sided p is
    1 - t / sqrt(t^2 + 2) = 1 - sqrt(12 / 14) = 0.0742."""
    subject = {0: 5.0, 1: 6.0, 2: 7.0, 9: 100.0}
    found = differences(subject, {"other": {0: 4.0, 1: 3.0, 2: 5.0, 4: 0.0}})["other"]
    assert (found["number"], found["mean"], found["deviation"]) == (3, 2.0, 1.0)
    assert found["t_test"] == pytest.approx(1 - math.sqrt(12 / 14))
    assert found["adjusted"] == found["t_test"]  # a single comparison
    assert found["wilcoxon"] is None


def test_the_t_test_is_the_paired_one():
    random = np.random.default_rng(0)
    one, other = random.normal(size=(2, 7))
    found = differences(dict(enumerate(one)), {"o": dict(enumerate(other))})["o"]
    assert found["t_test"] == pytest.approx(stats.ttest_rel(one, other).pvalue)


def test_wilcoxon_by_hand():
    """Six differences, all positive: of the 2^6 equally likely signs two are as extreme."""
    scores = {seed: float(seed + 1) for seed in range(6)}
    found = differences(scores, {"o": dict.fromkeys(scores, 0.0)})["o"]
    assert found["wilcoxon"] == pytest.approx(2 / 2**6)


def test_what_differs_by_nothing_or_by_the_same_has_no_test():
    scores = {0: 1.0, 1: 2.0}
    assert differences(scores, {"o": scores})["o"]["t_test"] is None
    assert differences(scores, {"o": {0: 0.5, 1: 1.5}})["o"]["t_test"] is None
    assert differences(scores, {"o": {7: 1.0}}) == {}


def test_comparisons_are_corrected_together():
    subject = {0: 5.0, 1: 6.0, 2: 7.0}
    others = {"a": {0: 4.0, 1: 3.0, 2: 5.0}, "b": {0: 4.9, 1: 5.8, 2: 6.9}, "c": {0: 4.0}}
    found = differences(subject, others)
    assert found["c"]["t_test"] is found["c"]["adjusted"] is None
    small, large = sorted((found["a"], found["b"]), key=lambda d: d["t_test"])
    assert small["adjusted"] == pytest.approx(2 * small["t_test"])
    assert large["adjusted"] == pytest.approx(max(2 * small["t_test"], large["t_test"]))


def test_holm_by_hand():
    """Sorted 0.01, 0.02, 0.03, 0.5 times 4, 3, 2, 1 is 0.04, 0.06, 0.06, 0.5."""
    assert holm([0.5, 0.01, 0.03, 0.02]) == pytest.approx([0.5, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.001, 0.2))
def test_holm_rejects_as_its_procedure_does(p_values, level):
    """Step down: reject while the k-th smallest is at most level / (n - k + 1)."""
    rejected = set()
    for k, place in enumerate(np.argsort(p_values, kind="stable")):
        if p_values[place] * (len(p_values) - k) > level:
            break
        rejected.add(int(place))
    assert {place for place, p in enumerate(holm(p_values)) if p <= level} == rejected


def test_kendall_by_hand():
    """1 2 3 4 against 1 3 2 4: of six pairs five agree and one does not: 4 / 6."""
    assert kendall([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx(4 / 6)
    assert kendall([1, 2, 3], [3, 2, 1]) == pytest.approx(-1.0)
    assert kendall([1, 2, 3], [5, 5, 5]) is None


def test_jaccard_by_hand():
    assert jaccard("ab", "bc") == pytest.approx(1 / 3)
    assert jaccard("", "") == 1.0
    assert jaccard("ab", "") == 0.0


@pytest.mark.parametrize("one, other, of", [(2, 3, 5), (1, 1, 4), (0, 2, 5), (4, 4, 4), (0, 0, 3)])
def test_jaccard_by_chance_over_all_sets(one, other, of):
    """The mean over every pair of sets of these sizes."""
    things = [str(n) for n in range(of)]
    every = itertools.product(
        itertools.combinations(things, one), itertools.combinations(things, other)
    )
    expected = np.mean([jaccard(a, b) for a, b in every])
    assert jaccard_by_chance(one, other, of) == pytest.approx(expected)
