"""Hetero-center triplet loss (Liu, Tan and Zhou, IEEE Transactions on Multimedia 2021)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cmnas_tf.losses.loss import Loss, LossBatch, register_loss
from cmnas_tf.options import advanced

if TYPE_CHECKING:
    import tensorflow as tf


@register_loss("hetero_center", title="hetero-center triplet.", short="hc", modalities=2)
@dataclass(frozen=True)
class HeteroCenterTriplet(Loss):
    """The two centers of an identity closer to each other than to any center of another identity.

    A center is the mean of an identity's K pooled features in one modality. For each of the 2 P
    centers: the distance to the same identity's center in the other modality, minus that to the
    nearest center, of either modality, of another identity; the mean of ``max(0, margin +
    difference)``. The paper sums over the centers; the mean, which does not grow with P, is our
    choice, and so is the weight of 0 that leaves it out.
    """

    hetero_center_margin: float = advanced(
        0.3, "Margin of the hetero-center triplet. [pub]", minimum=0
    )

    def __call__(self, batch: LossBatch) -> "tf.Tensor":
        """The loss, a scalar of at least float32."""
        import tensorflow as tf

        from cmnas_tf.losses.formulas import hard_triplet

        k = batch.images_per_identity
        features = tf.concat([part.pooled for part in batch.outputs.values()], axis=0)
        centers = tf.reduce_mean(tf.reshape(features, [-1, k, features.shape[-1]]), axis=1)
        # Of the two centers of an identity one is the anchor itself, so the farther one is the
        # other modality's: batch-hard mining of the centers is the loss.
        labels = tf.tile(batch.labels[::k], [len(batch.outputs)])  # [2 P]
        return hard_triplet(centers, centers, labels, self.hetero_center_margin)
