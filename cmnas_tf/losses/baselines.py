"""What the field's baselines follow besides: AGW's triplet, and the center loss."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cmnas_tf.losses.loss import Loss, LossBatch, at_least_float32, register_loss

if TYPE_CHECKING:
    import tensorflow as tf


@register_loss("weighted_triplet", title="weighted regularised triplet (AGW).", short="wrt")
@dataclass(frozen=True)
class WeightedTriplet(Loss):
    """All distances of the batch, the hard ones weighted most; no margin."""

    def __call__(self, batch: LossBatch) -> "tf.Tensor":
        """See :func:`cmnas_tf.losses.formulas.weighted_triplet`."""
        import tensorflow as tf

        from cmnas_tf.losses.formulas import weighted_triplet

        features = tf.concat([part.pooled for part in batch.outputs.values()], axis=0)
        return weighted_triplet(features, tf.tile(batch.labels, [len(batch.outputs)]))


@register_loss("center", title="center loss.", short="ctr")
@dataclass(frozen=True)
class Center(Loss):
    """``1/2 |x - c|^2``, of each row and the center of its identity (Wen et al., ECCV 2016, eq. 2).

    A center is the mean of the identity's rows of the batch, of all modalities. The paper, whose
    batches have few rows of a class, moves centers of its own towards such means. The mean over
    rows instead of the sum is our choice, too.
    """

    def __call__(self, batch: LossBatch) -> "tf.Tensor":
        """The loss, a scalar of at least float32."""
        import tensorflow as tf

        pooled = tf.stack(at_least_float32(*(part.pooled for part in batch.outputs.values())))
        modalities, _, size = pooled.shape
        rows = tf.reshape(pooled, [modalities, -1, batch.images_per_identity, size])
        centers = tf.reduce_mean(rows, axis=[0, 2], keepdims=True)  # [1, P, 1, D]
        return tf.reduce_mean(tf.reduce_sum(tf.square(rows - centers), axis=-1)) / 2.0
