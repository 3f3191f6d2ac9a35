"""What it is worth to separate a stage's norms, by all trainings of a study together.

The scatter of a training is as large as what most architectures differ by. Every training tells
something of every stage, so together they say more than the rows of a table do one by one.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from cmnas_tf.architecture import SEPARATE, Architecture, stage_of, stages_of
from cmnas_tf.studies.statistics import CONFIDENCE


class Trained(NamedTuple):
    """An architecture, the seed it was trained with, and what it reached, 0..1."""

    architecture: Architecture
    seed: int
    score: float


def stage_worth(trainings: Sequence[Trained]) -> dict[str, Any] | None:
    """Least squares: a score is its seed's, plus each stage's worth times its share of separate.

    Our choice; that stages add up is the assumption.

    Args:
      trainings: of one backbone.

    Returns:
      ``stages``: by name ``worth``, of separating all of it, and its 95 % ``interval`` (t);
      ``scatter``: sample standard deviation of what is left, a training's own; ``trainings``: how
      many. None where the trainings cannot tell the stages apart.
    """
    if not trainings:
        return None
    stages = stages_of(trainings[0].architecture.backbone)
    seeds = sorted({training.seed for training in trainings})
    of_seed = [[training.seed == seed for seed in seeds] for training in trainings]
    shares = [list(separate_shares(training.architecture).values()) for training in trainings]
    x = np.hstack([np.array(of_seed, np.float64), np.array(shares)])  # [trainings, seeds + stages]
    y = np.array([training.score for training in trainings])
    freedom = len(y) - x.shape[1]
    if freedom < 1 or np.linalg.matrix_rank(x) < x.shape[1]:
        return None
    found, *_ = np.linalg.lstsq(x, y, rcond=None)
    variance = float(np.sum(np.square(y - x @ found))) / freedom
    errors = np.sqrt(variance * np.diag(np.linalg.inv(x.T @ x)))
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * errors
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
