"""From settings to the objectives that weights and architecture follow."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import tensorflow as tf

from cmnas_tf import settings
from cmnas_tf.losses import Objective
from cmnas_tf.losses.objective import TOTAL

EXPECTED_COST = "expected_cost"


@dataclass(frozen=True, kw_only=True)
class CostAware(Objective):
    """An objective with one more term, what the mixture of a search costs.

    Attributes:
      cost: weight of that term.
      expected_cost: gives it.
    """

    cost: float
    expected_cost: Callable[[], tf.Tensor]

    def __call__(
        self, outputs: Mapping[str, Any], labels: tf.Tensor, images_per_identity: int
    ) -> dict[str, tf.Tensor]:
        """See :class:`Objective`."""
        terms = super().__call__(outputs, labels, images_per_identity)
        cost = self.expected_cost()
        return {**terms, EXPECTED_COST: cost, TOTAL: terms[TOTAL] + self.cost * cost}


def weight_objective(loss: settings.Loss) -> Objective:
    """What the weights follow."""
    wanted = Objective(
        cross_entropy=loss.cross_entropy_weight,
        triplet=loss.triplet_weight,
        correlation=loss.correlation_weight,
        class_mmd=loss.mmd_weight,
        margin=loss.margin,
        label_smoothing=loss.label_smoothing,
    )
    return _of_kind(loss.objective, wanted)


def architecture_objective(
    loss: settings.Loss, architecture: settings.ArchitectureLoss, split: str
) -> Objective:
    """What the architecture logits follow; margin and smoothing are those of the weights.

    With identities kept apart the classifier does not know those of the architecture split, so
    cross entropy is left out.
    """
    wanted = Objective(
        cross_entropy=architecture.architecture_cross_entropy_weight,
        triplet=architecture.architecture_triplet_weight,
        correlation=architecture.architecture_correlation_weight,
        class_mmd=architecture.architecture_mmd_weight,
        margin=loss.margin,
        label_smoothing=loss.label_smoothing,
    )
    wanted = _of_kind(loss.objective, wanted)
    return wanted if split == "within_identity" else replace(wanted, cross_entropy=0.0)


def cost_aware(
    objective: Objective,
    architecture: settings.ArchitectureLoss,
    expected_cost: Callable[[], tf.Tensor],
) -> Objective:
    """The objective with the expected cost, by ``--latency_weight``, as one more term."""
    return CostAware(
        **vars(objective), cost=architecture.latency_weight, expected_cost=expected_cost
    )


def _of_kind(kind: str, wanted: Objective) -> Objective:
    if kind == "retrieval":
        return wanted
    return replace(wanted, cross_entropy=1.0, triplet=0.0, correlation=0.0, class_mmd=0.0)
