"""From settings to the objectives that weights and architecture follow."""

from cmnas_tf import settings
from cmnas_tf.losses import Objective


def weight_objective(loss: settings.Loss) -> Objective:
    """What the weights follow."""
    return Objective(
        cross_entropy=loss.cross_entropy_weight,
        triplet=loss.triplet_weight,
        correlation=loss.correlation_weight,
        class_mmd=loss.mmd_weight,
        margin=loss.margin,
        label_smoothing=loss.label_smoothing,
    )


def architecture_objective(
    loss: settings.Loss, architecture: settings.ArchitectureLoss, split: str
) -> Objective:
    """What the architecture logits follow; margin and smoothing are those of the weights.

    With identities kept apart the classifier does not know those of the architecture split, so
    cross entropy is left out.
    """
    known = split == "within_identity"
    return Objective(
        cross_entropy=architecture.architecture_cross_entropy_weight if known else 0.0,
        triplet=architecture.architecture_triplet_weight,
        correlation=architecture.architecture_correlation_weight,
        class_mmd=architecture.architecture_mmd_weight,
        margin=loss.margin,
        label_smoothing=loss.label_smoothing,
    )
