"""Losses for re-identification within and across modalities."""

from cmnas_tf.losses.c3mmd import c3mmd, class_mmd, correlation_consistency
from cmnas_tf.losses.cross_entropy import cross_entropy
from cmnas_tf.losses.objective import Objective
from cmnas_tf.losses.triplet import cross_modality_triplet, hard_triplet

__all__ = [
    "Objective",
    "c3mmd",
    "class_mmd",
    "correlation_consistency",
    "cross_entropy",
    "cross_modality_triplet",
    "hard_triplet",
]
