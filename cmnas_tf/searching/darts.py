"""DARTS: weights and architecture parameters trained in turns (Liu et al., ICLR 2019)."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cmnas_tf.errors import BadInput
from cmnas_tf.losses import ArchitectureWeights, Objective
from cmnas_tf.options import advanced, option
from cmnas_tf.searching.algorithm import ALGORITHMS
from cmnas_tf.searching.selection import SelectionChoice
from cmnas_tf.searching.supernet_search import SupernetSearch

if TYPE_CHECKING:
    from cmnas_tf.layers import Relaxation


@dataclass(frozen=True, kw_only=True)
class Darts(SupernetSearch):
    """The bilevel search; the authors released none of it, so all of it is our choice.

    Attributes:
      architecture_weights: of the losses that the architecture follows.

    Raises:
      BadInput: options that contradict each other.
    """

    warmup_epochs: int = option(
        10, "Epochs at the start that leave the architecture logits alone.", minimum=0
    )
    order: str = advanced(
        "first",
        "first: the architecture's gradient takes the weights as they are; second: as they would "
        "be after their next step (DARTS, eq. 7), which makes a step about three times the work.",
        choices=("first", "second"),
    )
    architecture_statistics: str = advanced(
        "running",
        "What batch norms normalise by in the architecture loss: running statistics, as in a "
        "test, or those of the batch, as in training (DARTS).",
        choices=("running", "batch"),
    )
    relaxation: str = advanced(
        "softmax",
        "How logits become mixture weights: softmax [Auto-ReID: pub], Gumbel-softmax with "
        "annealing, or gdas: only the candidate that it draws, with its gradient.",
        choices=("softmax", "gumbel", "gdas"),
    )
    initial_temperature: float = advanced(5.0, "Gumbel temperature at the start.", minimum=0.01)
    final_temperature: float = advanced(0.5, "Gumbel temperature at the end.", minimum=0.01)
    architecture_learning_rate: float = option(
        1e-3, "Learning rate of the architecture logits (Adam 0.5, 0.999).", minimum=0
    )
    architecture_weight_decay: float = advanced(
        1e-3, "L2 added to the gradient of the architecture logits.", minimum=0
    )
    latency_weight: float = advanced(
        0.0,
        "Weight, in the architecture loss, of the multiply-adds that cells are expected to take, "
        "relative to those of an even mixture (beyond the paper).",
        minimum=0,
    )
    architecture_weights: ArchitectureWeights = ArchitectureWeights()
    selection: SelectionChoice = SelectionChoice()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.warmup_epochs >= self.epochs:
            raise BadInput(
                f"warmup_epochs={self.warmup_epochs} leaves no epoch of epochs={self.epochs} for "
                "the architecture; it must be smaller."
            )
        if self.order == "second" and self.numerics.precision != "float32":
            raise BadInput(
                f"order=second takes differences of gradients, which precision="
                f"{self.numerics.precision} has too few digits for; leave one of the two out."
            )

    def for_modalities(self, modalities: Collection[str]) -> "Darts":
        """See :class:`WeightTraining`."""
        weights = self.architecture_weights.for_modalities(modalities)
        return replace(super().for_modalities(modalities), architecture_weights=weights)

    @property
    def architecture_objective(self) -> Objective:
        """What the architecture follows.

        With identities kept apart the classifier does not know those of the architecture split, so
        cross entropy is left out.
        """
        weights, apart = self.architecture_weights, self.split == "identities"
        return self.objective.of_architecture(weights, unknown_people=apart)

    def make_relaxation(self, seed: int) -> "Relaxation":
        """See :class:`SearchAlgorithm`."""
        from cmnas_tf.layers import Gdas, GumbelSoftmax, Softmax

        if self.relaxation == "softmax":
            return Softmax()
        sampled = {"gumbel": GumbelSoftmax, "gdas": Gdas}[self.relaxation]
        return sampled(seed, self.initial_temperature, self.final_temperature)

    def updates_architecture(self, epoch: int) -> bool:
        """See :class:`SupernetSearch`."""
        return epoch >= self.warmup_epochs


ALGORITHMS.register("darts", Darts)
