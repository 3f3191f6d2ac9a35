"""Where the losses meet: one objective that gives the total and every term."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from cmnas_tf.errors import BadInput
from cmnas_tf.losses.c3mmd import class_mmd, correlation_consistency
from cmnas_tf.losses.cross_entropy import cross_entropy
from cmnas_tf.losses.triplet import cross_modality_triplet, hard_triplet
from cmnas_tf.modality import INFRARED, VISIBLE

TERMS = ("cross_entropy", "triplet", "correlation", "class_mmd")
TOTAL = "total"


@dataclass(frozen=True)
class Objective:
    """The weighted sum of cross entropy, triplet and the two halves of C3MMD.

    A term of weight 0 is not computed.

    Attributes:
      cross_entropy: weight of the cross entropy over all rows.
      triplet: weight of the batch-hard triplet on pooled features: the mean of four for two
        modalities, the plain one for a single modality.
      correlation: weight of the correlation consistency of the embeddings.
      class_mmd: weight of the class-specific MMD of the embeddings.
      margin: of the triplet; negative for the soft margin.
      label_smoothing: of the cross entropy, 0..1.
    """

    cross_entropy: float = 1.0
    triplet: float = 1.0
    correlation: float = 5.0
    class_mmd: float = 0.05
    margin: float = 0.4
    label_smoothing: float = 0.0

    def check(self, modalities: Collection[str]) -> None:
        """Refuses data that the terms in use cannot be computed of, before anything is computed.

        Raises:
          BadInput: no term is in use, or one between modalities with a single modality.
        """
        used = [name for name in TERMS if getattr(self, name)]
        if not used:
            raise BadInput("Every term of the objective has weight 0; give one a weight.")
        between = [name for name in ("correlation", "class_mmd") if name in used]
        if between and len(modalities) < 2:
            raise BadInput(
                f"{' and '.join(between)} compare two modalities, but the images are all "
                f"{', '.join(modalities)}. Set their weights (--correlation_weight, --mmd_weight, "
                "and those of the architecture in a search) to 0."
            )

    def __call__(
        self, outputs: Mapping[str, Any], labels: tf.Tensor, images_per_identity: int
    ) -> dict[str, tf.Tensor]:
        """Computes the loss of a whole batch.

        Args:
          outputs: ``{modality: embeddings}`` with attributes ``pooled``, ``embedding`` [P * K, D]
            and ``logits`` [P * K, C]; every modality has the same identities in the same order, the
            K rows of an identity next to each other.
          labels: [P * K] integers, 0..C-1.
          images_per_identity: K.

        Returns:
          ``{term: scalar}`` of the terms in use, unweighted, and their weighted sum ``"total"``.

        Raises:
          BadInput: see :meth:`check`.
        """
        self.check(outputs)
        compute = {
            "cross_entropy": self._cross_entropy,
            "triplet": self._triplet,
            "correlation": self._correlation,
            "class_mmd": self._class_mmd,
        }
        terms = {
            name: compute[name](outputs, labels, images_per_identity)
            for name in TERMS
            if getattr(self, name)
        }
        return {**terms, TOTAL: tf.add_n([getattr(self, name) * terms[name] for name in terms])}

    def _cross_entropy(self, outputs: Mapping[str, Any], labels: tf.Tensor, _: int) -> tf.Tensor:
        logits = tf.concat([part.logits for part in outputs.values()], axis=0)
        return cross_entropy(logits, tf.tile(labels, [len(outputs)]), self.label_smoothing)

    def _triplet(self, outputs: Mapping[str, Any], labels: tf.Tensor, _: int) -> tf.Tensor:
        pooled = [part.pooled for part in outputs.values()]
        if len(pooled) == 1:
            return hard_triplet(pooled[0], pooled[0], labels, self.margin)
        visible, infrared = pooled
        return cross_modality_triplet(visible, infrared, labels, self.margin)

    def _correlation(self, outputs: Mapping[str, Any], _: tf.Tensor, __: int) -> tf.Tensor:
        return correlation_consistency(outputs[VISIBLE].embedding, outputs[INFRARED].embedding)

    def _class_mmd(self, outputs: Mapping[str, Any], _: tf.Tensor, images: int) -> tf.Tensor:
        return class_mmd(outputs[VISIBLE].embedding, outputs[INFRARED].embedding, images)
