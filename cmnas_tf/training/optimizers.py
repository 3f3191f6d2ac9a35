"""Adam with coupled weight decay, in groups of variables with their own learning rates."""

from collections.abc import Sequence
from typing import Protocol

import tensorflow as tf
from tensorflow import keras

from cmnas_tf.models import ReidNetwork
from cmnas_tf.settings import WeightOptimizer


class Optimizer(Protocol):
    """What a training step and its checkpoints need of an optimizer."""

    @property
    def trained(self) -> Sequence[tf.Variable]:
        """The variables it updates, in the order of the gradients."""

    def named_variables(self) -> dict[str, tf.Variable]:
        """Its own state: all that a checkpoint must hold."""

    def set_factor(self, factor: float) -> None:
        """Makes each learning rate ``factor`` times its full size."""

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """One update with gradients that are the same on every replica."""


class _Adam(keras.optimizers.Adam):
    """Adam with epsilon where PyTorch has it: added to the corrected second moment's root.

    Keras adds it before the correction, which makes it up to 32 times larger in the first steps.
    """

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """One step of Adam (Kingma and Ba, ICLR 2015, algorithm 1)."""
        place = self._index_dict[self._var_key(variable)]
        momentum, velocity = self._momentums[place], self._velocities[place]
        step = tf.cast(self.iterations + 1, variable.dtype)
        momentum.assign_add((gradient - momentum) * (1.0 - self.beta_1))
        velocity.assign_add((tf.square(gradient) - velocity) * (1.0 - self.beta_2))
        mean = momentum / (1.0 - tf.pow(tf.cast(self.beta_1, variable.dtype), step))
        variance = velocity / (1.0 - tf.pow(tf.cast(self.beta_2, variable.dtype), step))
        rate = tf.cast(self.learning_rate, variable.dtype)
        variable.assign_sub(rate * mean / (tf.sqrt(variance) + self.epsilon))


class CoupledAdam:
    """PyTorch's ``Adam(weight_decay=...)``: the decay is added to the gradient (not AdamW).

    Args:
      variables: what it updates.
      learning_rate: at full size; :meth:`set_factor` scales it.
      weight_decay: L2 factor, added to the gradient as ``weight_decay * variable``.
      beta_1, beta_2: decays of the moments; 0.5 and 0.999 in the authors' code.
    """

    def __init__(
        self,
        variables: Sequence[tf.Variable],
        learning_rate: float,
        weight_decay: float,
        beta_1: float = 0.5,
        beta_2: float = 0.999,
    ):
        self.trained = list(variables)
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self._adam = _Adam(learning_rate, beta_1, beta_2, epsilon=1e-8)
        self._adam.build(self.trained)

    def named_variables(self) -> dict[str, tf.Variable]:
        """Step counter and moments; the learning rate is set at each step."""
        return {f"{place}": variable for place, variable in enumerate(self._adam.variables)}

    def set_factor(self, factor: float) -> None:
        """Makes the learning rate ``factor`` times its full size."""
        self._adam.learning_rate.assign(self.learning_rate * factor)

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """One update with gradients that are the same on every replica."""
        decayed = [g + self.weight_decay * v for g, v in zip(gradients, self.trained, strict=True)]
        pairs = zip(decayed, self.trained, strict=True)
        self._adam.apply_gradients(pairs, skip_gradients_aggregation=True)


class OptimizerGroups:
    """Several optimizers that update together: the backbone's and the head's.

    Args:
      groups: optimizers of disjoint sets of variables.
    """

    def __init__(self, *groups: CoupledAdam):
        self.groups = groups

    @property
    def trained(self) -> list[tf.Variable]:
        """All variables that are updated, in the order of the gradients."""
        return [variable for group in self.groups for variable in group.trained]

    def named_variables(self) -> dict[str, tf.Variable]:
        """All that a checkpoint must hold."""
        return {
            f"{place}/{name}": variable
            for place, group in enumerate(self.groups)
            for name, variable in group.named_variables().items()
        }

    def set_factor(self, factor: float) -> None:
        """Makes each learning rate ``factor`` times its full size."""
        for group in self.groups:
            group.set_factor(factor)

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """One update of every group."""
        place = 0
        for group in self.groups:
            group.apply(gradients[place : place + len(group.trained)])
            place += len(group.trained)


def weight_optimizer(
    network: ReidNetwork, settings: WeightOptimizer, besides: Sequence[tf.Variable] = ()
) -> OptimizerGroups:
    """The optimizer of a network's weights: one group for the backbone, one for the head.

    Args:
      network: whose trainable variables are divided.
      settings: learning rates and weight decay.
      besides: variables that something else trains.
    """
    others = {id(variable) for variable in besides}
    backbone = [v for v in network.backbone.trainable_variables if id(v) not in others]
    return OptimizerGroups(
        CoupledAdam(backbone, settings.backbone_learning_rate, settings.weight_decay),
        CoupledAdam(
            network.head.trainable_variables, settings.head_learning_rate, settings.weight_decay
        ),
    )


def schedule(epoch: float, warmup: float, decay_epochs: Sequence[float]) -> float:
    """The factor on the learning rate: linear warm-up from 0.01, then x0.1 at each decay epoch.

    Authors' released code (120 epochs: warm-up 10, decay at 40 and 70).

    Args:
      epoch: epochs done, >= 0; may be fractional.
      warmup: length of the warm-up, in epochs.
      decay_epochs: where the rate falls.
    """
    ramp = 0.01 + (1.0 - 0.01) * epoch / warmup if epoch < warmup else 1.0
    return ramp * 0.1 ** sum(epoch >= decay for decay in decay_epochs)


def factor_at(step: int, steps_per_epoch: int, settings: WeightOptimizer) -> float:
    """The factor on the learning rate at a step, moving every epoch or every step."""
    epoch = step / steps_per_epoch
    if settings.schedule_every == "epoch":
        epoch = step // steps_per_epoch
    return schedule(epoch, settings.learning_rate_warmup, settings.decay_epochs)
