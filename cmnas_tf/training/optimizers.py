"""Adam and SGD with coupled weight decay, in groups of variables with their own learning rates."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
import tf_keras as keras

from cmnas_tf.models import ReidNetwork
from cmnas_tf.training.recipe import WeightOptimizer


class Optimizer:
    """What a training step and its checkpoints need of an optimizer."""

    trained: Sequence[tf.Variable]  # the variables it updates, in the order of the gradients
    rates: Sequence[tf.Variable]  # the current learning rate of each of them

    def named_variables(self) -> dict[str, tf.Variable]:
        """Its own state: all that a checkpoint must hold; learning rates are set at each step."""
        raise NotImplementedError

    def set_factor(self, factor: float) -> None:
        """Makes each learning rate ``factor`` times its full size."""
        raise NotImplementedError

    def scale(self, loss: tf.Tensor) -> tf.Tensor:
        """The loss whose gradients :meth:`apply` takes: as it is."""
        return loss

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """One update with gradients that are the same on every replica."""
        raise NotImplementedError


class Adam(keras.optimizers.Adam):
    """Adam with epsilon where PyTorch has it: added to the corrected second moment's root.

    Keras adds it before the correction, which makes it up to 32 times larger in the first steps.
    A variable is updated by one kernel that goes through it once. On a GPU Keras would have XLA
    compile a program for each variable instead, which takes longer to start and to run.

    Args:
      beta_1, beta_2: decays of the moments; 0.5 and 0.999 in the authors' code.
    """

    def __init__(self, beta_1: float = 0.5, beta_2: float = 0.999):
        super().__init__(beta_1=beta_1, beta_2=beta_2, epsilon=1e-8, jit_compile=False)

    def apply_gradients(self, pairs: Iterable[tuple[tf.Tensor, tf.Variable]], **how: Any) -> Any:
        """One step for all variables; first the bias corrections of both moments.

        ``r m / (sqrt(v / c) + e)`` is ``r sqrt(c) m / (sqrt(v) + e sqrt(c))``: what the kernel
        computes, with a corrected rate and epsilon.
        """
        step = tf.cast(self.iterations + 1, tf.float32)
        root = tf.sqrt(1.0 - tf.pow(self.beta_2, step))
        corrected_already = tf.constant(0.0)
        self._scalars = {
            "lr": self.learning_rate * root / (1.0 - tf.pow(self.beta_1, step)),
            "epsilon": self.epsilon * root,
            "beta1": tf.constant(self.beta_1),
            "beta2": tf.constant(self.beta_2),
            "beta1_power": corrected_already,
            "beta2_power": corrected_already,
        }
        return super().apply_gradients(pairs, **how)

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """One step of Adam (Kingma and Ba, ICLR 2015, algorithm 1)."""
        place = self._index_dict[self._var_key(variable)]
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[place].handle,
            v=self._velocities[place].handle,
            grad=gradient,
            **_cast(self._scalars, variable.dtype),
        )


class SGD(keras.optimizers.SGD):
    """SGD whose momentum holds gradients, as PyTorch's does, not steps.

    Keras multiplies by the learning rate before it adds to the momentum, so that after the rate has
    fallen it continues with the larger steps of before.

    Args:
      momentum: how much of the sum of earlier gradients stays at each step, 0..1.
      nesterov: whether a step looks ahead by the momentum.
    """

    def __init__(self, momentum: float = 0.9, nesterov: bool = False):
        super().__init__(momentum=momentum, nesterov=nesterov, jit_compile=False)

    def apply_gradients(self, pairs: Iterable[tuple[tf.Tensor, tf.Variable]], **how: Any) -> Any:
        """One step for all variables."""
        rate = tf.convert_to_tensor(self.learning_rate)
        self._scalars = {"lr": rate, "momentum": tf.constant(self.momentum)}
        return super().apply_gradients(pairs, **how)

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """One step with momentum, not dampened."""
        tf.raw_ops.ResourceApplyMomentum(
            var=variable.handle,
            accum=self.momentums[self._index_dict[self._var_key(variable)]].handle,
            grad=gradient,
            use_nesterov=self.nesterov,
            **_cast(self._scalars, variable.dtype),
        )


# What all kernels of a step take is made once, not for each variable: a supernet has so many that
# its graph would be a seventh larger.
def _cast(scalars: Mapping[str, tf.Tensor], dtype: tf.DType) -> dict[str, tf.Tensor]:
    return {name: tf.cast(scalar, dtype) for name, scalar in scalars.items()}


class Coupled(Optimizer):
    """An optimizer with PyTorch's ``weight_decay``: it is added to the gradient (not AdamW).

    Args:
      rule: what makes a step of decayed gradients, an :class:`Adam` or :class:`SGD` of its own.
      learning_rate: at full size; :meth:`set_factor` scales it.
      weight_decay: L2 factor, added to the gradient as ``weight_decay * variable``.
    """

    def __init__(
        self,
        rule: keras.optimizers.Optimizer,
        variables: Sequence[tf.Variable],
        learning_rate: float,
        weight_decay: float,
    ):
        self.trained = list(variables)
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self._rule = rule
        self._rule.build(self.trained)
        self._factor = 1.0
        self._rule.learning_rate.assign(learning_rate)
        self.rates = [rule.learning_rate] * len(self.trained)

    def named_variables(self) -> dict[str, tf.Variable]:
        """Step counter and moments."""
        return {f"{place}": variable for place, variable in enumerate(self._rule.variables)}

    def set_factor(self, factor: float) -> None:
        """See :class:`Optimizer`."""
        # A GPU takes a number when it is done with all that it was given before.
        if factor != self._factor:
            self._factor = factor
            self._rule.learning_rate.assign(self.learning_rate * factor)

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """See :class:`Optimizer`."""
        factor = {d: tf.constant(self.weight_decay, d) for d in {v.dtype for v in self.trained}}
        decayed = [g + factor[v.dtype] * v for g, v in zip(gradients, self.trained, strict=True)]
        pairs = zip(decayed, self.trained, strict=True)
        self._rule.apply_gradients(pairs, skip_gradients_aggregation=True)


class OptimizerGroups(Optimizer):
    """Several optimizers that update together: the backbone's and the head's.

    Args:
      groups: optimizers of disjoint sets of variables.
    """

    def __init__(self, *groups: Optimizer):
        self.groups = groups
        self.trained = [variable for group in groups for variable in group.trained]
        self.rates = [rate for group in groups for rate in group.rates]

    def named_variables(self) -> dict[str, tf.Variable]:
        """Those of all groups, each behind the group's number."""
        return {
            f"{place}/{name}": variable
            for place, group in enumerate(self.groups)
            for name, variable in group.named_variables().items()
        }

    def set_factor(self, factor: float) -> None:
        """See :class:`Optimizer`."""
        for group in self.groups:
            group.set_factor(factor)

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """See :class:`Optimizer`."""
        remaining = iter(gradients)
        for group in self.groups:
            group.apply(list(itertools.islice(remaining, len(group.trained))))


def weight_optimizer(
    network: ReidNetwork, chosen: WeightOptimizer, besides: Sequence[tf.Variable] = ()
) -> OptimizerGroups:
    """The optimizer of a network's weights: one group for the backbone, one for the head.

    ``besides`` are variables that something else trains.
    """

    def group(variables: Sequence[tf.Variable], learning_rate: float) -> Coupled:
        rule = SGD(chosen.momentum, chosen.nesterov) if chosen.optimizer == "sgd" else Adam()
        return Coupled(rule, variables, learning_rate, chosen.weight_decay)

    others = {id(variable) for variable in besides}
    backbone = [v for v in network.backbone.trainable_variables if id(v) not in others]
    return OptimizerGroups(
        group(backbone, chosen.backbone_learning_rate),
        group(network.head.trainable_variables, chosen.head_learning_rate),
    )


def warm_up(epoch: float, length: float, start: float = 0.01) -> float:
    """Linear from ``start`` to 1 in ``length`` epochs, then 1 (authors' released code)."""
    return start + (1.0 - start) * epoch / length if epoch < length else 1.0


def in_steps(epoch: float, decay_epochs: Sequence[float]) -> float:
    """1, and x0.1 at each decay epoch (authors' released code: 40 and 70 of 120)."""
    return 0.1 ** sum(epoch >= decay for decay in decay_epochs)


def along_cosine(epoch: float, epochs: float, final: float) -> float:
    """Half a cosine from 1 to ``final`` at the end (Loshchilov and Hutter, ICLR 2017, eq. 5)."""
    return final + (1.0 - final) * (1.0 + math.cos(math.pi * epoch / epochs)) / 2.0


@dataclass(frozen=True)
class Schedule:
    """How the learning rates go, epoch by epoch or step by step; by the number of steps done."""

    chosen: WeightOptimizer  # warm-up, and how the rates fall: multiplied where they overlap
    steps_per_epoch: int
    epochs: int

    def factor(self, step: int) -> float:
        """The factor on every learning rate."""
        chosen, epoch = self.chosen, step / self.steps_per_epoch
        if chosen.schedule_every == "epoch":
            epoch = step // self.steps_per_epoch
        if chosen.schedule == "cosine":
            fallen = along_cosine(epoch, self.epochs, chosen.final_learning_rate)
        else:
            fallen = in_steps(epoch, chosen.decay_epochs)
        return warm_up(epoch, chosen.learning_rate_warmup, chosen.warmup_start) * fallen

    def rates(self, step: int) -> dict[str, float]:
        """The learning rates, as scalars for TensorBoard."""
        chosen, factor = self.chosen, self.factor(step)
        full = {"backbone": chosen.backbone_learning_rate, "head": chosen.head_learning_rate}
        return {f"learning_rate/{part}": factor * rate for part, rate in full.items()}
