"""Losses for re-identification within and across modalities; names are loaded when first used."""

from typing import TYPE_CHECKING, Any

# Each file registers its losses; the published ones come first.
from cmnas_tf.losses import published  # noqa: F401

# isort: split
from cmnas_tf.losses import baselines, hetero_center  # noqa: F401
from cmnas_tf.losses.loss import LOSSES, Loss, LossBatch, register_loss
from cmnas_tf.losses.objective import ArchitectureWeights, Objective

if TYPE_CHECKING:
    from cmnas_tf.losses.formulas import (
        c3mmd,
        class_mmd,
        correlation_consistency,
        cross_entropy,
        cross_modality_triplet,
        hard_triplet,
    )

__all__ = [
    "LOSSES",
    "ArchitectureWeights",
    "Loss",
    "LossBatch",
    "Objective",
    "c3mmd",
    "class_mmd",
    "correlation_consistency",
    "cross_entropy",
    "cross_modality_triplet",
    "hard_triplet",
    "register_loss",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from cmnas_tf.losses import formulas

    return getattr(formulas, name)
