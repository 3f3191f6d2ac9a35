"""The bilevel search step: update 1 moves the architecture, update 2 the weights."""

from dataclasses import dataclass

import tensorflow as tf

from cmnas_tf.data.pipeline import Batch
from cmnas_tf.losses import Objective
from cmnas_tf.models import ReidNetwork
from cmnas_tf.training.descent import descend
from cmnas_tf.training.optimizers import Optimizer


@dataclass(frozen=True)
class Bilevel:
    """First-order bilevel optimisation (DARTS, Liu et al., ICLR 2019, section 2.3, xi = 0).

    Attributes:
      network: the supernet.
      architecture_optimizer: trains the architecture logits and nothing else.
      weight_optimizer: trains all other trainable variables.
      architecture_objective: what the logits follow, on the architecture split.
      weight_objective: what the weights follow, on the weight split.
      images_per_identity: K.

    Raises:
      ValueError: the two optimizers do not divide the trainable variables between them.
    """

    network: ReidNetwork
    architecture_optimizer: Optimizer
    weight_optimizer: Optimizer
    architecture_objective: Objective
    weight_objective: Objective
    images_per_identity: int

    def __post_init__(self) -> None:
        architecture = {id(variable) for variable in self.architecture_optimizer.trained}
        weights = {id(variable) for variable in self.weight_optimizer.trained}
        everything = {id(variable) for variable in self.network.trainable_variables}
        if architecture & weights or architecture | weights != everything:
            raise ValueError(
                "The two optimizers must divide the trainable variables between them: "
                f"{len(architecture & weights)} have both, "
                f"{len(everything - architecture - weights)} have none."
            )

    def train_step(
        self, architecture_batch: Batch, weight_batch: Batch, move_architecture: bool
    ) -> dict[str, dict[str, tf.Tensor]]:
        """One step, in a replica.

        Args:
          architecture_batch: this replica's share of a batch of the architecture split.
          weight_batch: this replica's share of a batch of the weight split.
          move_architecture: False during warm-up: the weights move alone.

        Returns:
          The terms of each objective, before its update: ``{"architecture": ..., "weights": ...}``.
        """
        terms = {}
        if move_architecture:
            terms["architecture"] = descend(
                self.network,
                self.architecture_objective,
                self.architecture_optimizer,
                architecture_batch,
                self.images_per_identity,
            )
        terms["weights"] = descend(
            self.network,
            self.weight_objective,
            self.weight_optimizer,
            weight_batch,
            self.images_per_identity,
        )
        return terms
