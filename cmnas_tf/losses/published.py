"""The four losses of CM-NAS, with the authors' weights (their released code)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cmnas_tf.losses.loss import Loss, LossBatch, register_loss
from cmnas_tf.modality import INFRARED, VISIBLE
from cmnas_tf.options import advanced, option

if TYPE_CHECKING:
    import tensorflow as tf


@register_loss(
    "cross_entropy", title="cross entropy. [code]", short="ce", weight=1.0, of_classes=True
)
@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Cross entropy over the training identities, of all rows."""

    label_smoothing: float = advanced(
        0.0, "Label smoothing of the cross entropy.", minimum=0, maximum=0.999
    )

    def __call__(self, batch: LossBatch) -> "tf.Tensor":
        """See :func:`cmnas_tf.losses.formulas.cross_entropy`."""
        import tensorflow as tf

        from cmnas_tf.losses.formulas import cross_entropy

        outputs = batch.outputs.values()
        logits = tf.concat([part.logits for part in outputs], axis=0)
        return cross_entropy(logits, tf.tile(batch.labels, [len(outputs)]), self.label_smoothing)


@register_loss("triplet", title="four-way triplet. [code]", short="tri", weight=1.0)
@dataclass(frozen=True)
class Triplet(Loss):
    """Batch-hard triplet on pooled features: the mean of four for two modalities."""

    margin: float = option(0.4, "Margin of the triplet; below 0 the soft margin is used. [code]")

    def __call__(self, batch: LossBatch) -> "tf.Tensor":
        """See :func:`cmnas_tf.losses.formulas.cross_modality_triplet`."""
        from cmnas_tf.losses.formulas import cross_modality_triplet, hard_triplet

        pooled = [part.pooled for part in batch.outputs.values()]
        if len(pooled) == 1:
            return hard_triplet(pooled[0], pooled[0], batch.labels, self.margin)
        visible, infrared = pooled
        return cross_modality_triplet(visible, infrared, batch.labels, self.margin)


@register_loss(
    "correlation",
    title="correlation consistency, one half of C3MMD. [code]",
    short="corr",
    weight=5.0,
    modalities=2,
)
@dataclass(frozen=True)
class Correlation(Loss):
    """How differently the modalities relate the same samples to each other."""

    def __call__(self, batch: LossBatch) -> "tf.Tensor":
        """See :func:`cmnas_tf.losses.formulas.correlation_consistency`."""
        from cmnas_tf.losses.formulas import correlation_consistency

        visible, infrared = (batch.outputs[m].embedding for m in (VISIBLE, INFRARED))
        return correlation_consistency(visible, infrared)


@register_loss(
    "mmd",
    title="class-specific MMD, one half of C3MMD. [code]",
    short="mmd",
    weight=0.05,
    modalities=2,
)
@dataclass(frozen=True)
class ClassMmd(Loss):
    """How far apart the modalities lie, identity by identity."""

    def __call__(self, batch: LossBatch) -> "tf.Tensor":
        """See :func:`cmnas_tf.losses.formulas.class_mmd`."""
        from cmnas_tf.losses.formulas import class_mmd

        visible, infrared = (batch.outputs[m].embedding for m in (VISIBLE, INFRARED))
        return class_mmd(visible, infrared, batch.images_per_identity)
