"""What separating a stage is worth: of scores made of known worths, and where nothing is said."""

import numpy as np
import pytest
from scipy import stats

from cmnas_tf.architecture import SEPARATE, SHARED, Architecture, sites_of, stages_of
from cmnas_tf.studies.statistics import separate_shares, stage_worth

STAGES = stages_of("resnet18")
WORTH = dict(zip(STAGES, (0.01, 0.03, 0.0, -0.02, -0.05), strict=True))


def by_hand():
    """All shared, all separate, until and within each stage."""
    until = [Architecture.separate_until(stage, "resnet18") for stage in STAGES]
    within = [Architecture.separate_within(stage, "resnet18") for stage in STAGES[1:]]
    return [Architecture.shared("resnet18"), *until, *within]


def score(architecture, seed):
    shares = separate_shares(architecture)
    return 0.4 + 0.07 * seed + sum(WORTH[stage] * shares[stage] for stage in STAGES)


def test_the_share_of_each_stage():
    """Of layer1's four norms one, of the stem's one norm one."""
    chosen = ("stem", "layer1.0.bn1")
    choices = {site: SEPARATE if site in chosen else SHARED for site in sites_of("resnet18")}
    expected = {**dict.fromkeys(STAGES, 0.0), "stem": 1.0, "layer1": 0.25}
    assert separate_shares(Architecture(choices, "resnet18")) == expected


def test_worths_that_scores_were_made_of_come_back():
    """Whatever a seed adds to all of its scores; one seed has fewer trainings than the other."""
    trainings = [
        (architecture, seed, score(architecture, seed))
        for seed in (0, 3)
        for architecture in by_hand()[seed:]
    ]
    found = stage_worth(trainings)
    for stage, worth in WORTH.items():
        assert found["stages"][stage]["worth"] == pytest.approx(worth, abs=1e-12)
        assert found["stages"][stage]["interval"] == pytest.approx((worth, worth), abs=1e-9)
    assert found["scatter"] == pytest.approx(0.0, abs=1e-12)
    assert found["trainings"] == 17


def test_intervals_hold_the_truth_as_often_as_they_say():
    """Of 400 studies whose trainings scatter by 0.03, 95 % of 2,000 intervals, within 4 deviations
    of a binomial that counts only the studies."""
    random = np.random.default_rng(0)
    hits, scatters = [], []
    for _ in range(400):
        trainings = [
            (architecture, seed, score(architecture, seed) + 0.03 * random.normal())
            for seed in (0, 1)
            for architecture in by_hand()
        ]
        found = stage_worth(trainings)
        scatters.append(found["scatter"])
        for stage, worth in WORTH.items():
            low, high = found["stages"][stage]["interval"]
            hits.append(low < worth < high)
    assert abs(np.mean(hits) - 0.95) < 4 * stats.binom.std(400, 0.95) / 400
    assert np.mean(np.square(scatters)) == pytest.approx(0.03**2, rel=0.1)


def test_without_enough_to_tell_the_stages_apart_it_says_nothing():
    shared, separate = by_hand()[0], by_hand()[len(STAGES)]
    assert stage_worth([]) is None
    assert stage_worth([(a, 0, score(a, 0)) for a in by_hand()[:6]]) is None  # as many
    alike = [(a, 0, 0.5) for a in (shared, separate) * 10]
    assert stage_worth(alike) is None
