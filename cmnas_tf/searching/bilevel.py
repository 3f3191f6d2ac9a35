"""The bilevel search step: update 1 is the architecture's, update 2 the weights'."""

from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

from cmnas_tf.data.pipeline import Batch
from cmnas_tf.models import ReidNetwork
from cmnas_tf.searching.unrolled import unrolled_gradient
from cmnas_tf.training.gradient_step import LossFunction, gradient_step, loss_and_gradients
from cmnas_tf.training.optimizers import Optimizer

RunUpdate = Callable[..., dict[str, tf.Tensor]]


@dataclass(frozen=True)
class Bilevel:
    """Bilevel optimisation (DARTS, Liu et al., ICLR 2019, section 2.3), of the first order (xi = 0)
    or of the second.

    Raises:
      ValueError: the two optimizers do not divide the trainable variables between them.
    """

    network: ReidNetwork  # the supernet
    architecture_optimizer: Optimizer  # trains the architecture logits and nothing else
    weight_optimizer: Optimizer  # trains all other trainable variables
    architecture_objective: LossFunction  # what the logits follow, on the architecture split
    weight_objective: LossFunction  # what the weights follow, on the weight split
    images_per_identity: int  # K
    # Whether update 1 counts in how the weights would follow; their virtual step has the current
    # learning rates, without momentum and decay (our choice).
    second_order: bool = False
    # Whether update 1 normalises by running statistics, as a test does, and not by those of its
    # batch, as training does.
    use_running_statistics: bool = False

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

    def state(self) -> dict[str, dict[str, tf.Variable]]:
        """All that changes from step to step, by part of a checkpoint."""
        return {
            "network": self.network.get_weight_paths(),
            "architecture_optimizer": self.architecture_optimizer.named_variables(),
            "weight_optimizer": self.weight_optimizer.named_variables(),
        }

    def train_step(
        self,
        architecture_batch: Batch,
        weight_batch: Batch,
        update_architecture: bool,
        run: RunUpdate = lambda update, *batches: update(*batches),
    ) -> dict[str, dict[str, tf.Tensor]]:
        """One step: without ``run`` in a replica, with it on all of them.

        Args:
          architecture_batch: a batch of the architecture split, or this replica's share of it.
          weight_batch: the same of the weight split.
          update_architecture: False during warm-up: the weights are updated alone.
          run: how an update of these batches is run.

        Returns:
          The terms of each objective, before its update: ``{"architecture": ..., "weights": ...}``.
        """
        terms = {}
        if update_architecture:
            terms["architecture"] = run(self.update_architecture, architecture_batch, weight_batch)
        terms["weights"] = run(self.update_weights, weight_batch)
        return terms

    def update_architecture(
        self, architecture_batch: Batch, weight_batch: Batch
    ) -> dict[str, tf.Tensor]:
        """Update 1, in a replica; gives its terms.

        Args:
          weight_batch: what the weights would follow, which the second order looks ahead to.
        """
        if self.second_order:
            return self._unrolled_step(architecture_batch, weight_batch)
        return gradient_step(
            self.network,
            self.architecture_objective,
            self.architecture_optimizer,
            architecture_batch,
            self.images_per_identity,
            training=not self.use_running_statistics,
        )

    def update_weights(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Update 2, in a replica; gives its terms."""
        return gradient_step(
            self.network,
            self.weight_objective,
            self.weight_optimizer,
            batch,
            self.images_per_identity,
        )

    def _unrolled_step(
        self, architecture_batch: Batch, weight_batch: Batch
    ) -> dict[str, tf.Tensor]:
        """Update 1 by the second-order gradient; the terms are those after the virtual step."""

        def gradient(objective: LossFunction, batch: Batch, training: bool = True):
            step = self.network, objective, batch, self.images_per_identity
            return lambda variables: loss_and_gradients(*step, variables, training=training)

        terms, gradients = unrolled_gradient(
            self.architecture_optimizer.trained,
            self.weight_optimizer.trained,
            self.weight_optimizer.rates,
            gradient(
                self.architecture_objective, architecture_batch, not self.use_running_statistics
            ),
            gradient(self.weight_objective, weight_batch),
        )
        self.architecture_optimizer.apply(gradients)
        return terms
