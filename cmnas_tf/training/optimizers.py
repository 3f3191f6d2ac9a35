"""Adam and SGD with coupled weight decay, in groups of variables with their own learning rates."""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Protocol

import tensorflow as tf
import tf_keras as keras

from cmnas_tf.models import ReidNetwork
from cmnas_tf.training.recipe import WeightOptimizer


class Optimizer(Protocol):
    """What a training step and its checkpoints need of an optimizer."""

    @property
    def trained(self) -> Sequence[tf.Variable]:
        """The variables it updates, in the order of the gradients."""

    @property
    def rates(self) -> Sequence[tf.Variable]:
        """The current learning rate of each of them."""

    def named_variables(self) -> dict[str, tf.Variable]:
        """Its own state: all that a checkpoint must hold."""

    def set_factor(self, factor: float) -> None:
        """Makes each learning rate ``factor`` times its full size."""

    def scale(self, loss: tf.Tensor) -> tf.Tensor:
        """The loss whose gradients :meth:`apply` takes."""

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """One update with gradients that are the same on every replica."""


class _Scalars:
    """What the kernel of each variable's update takes besides tensors of its size.

    Made once for all variables of a step: a supernet has so many that its graph would be a seventh
    larger.
    """

    def __init__(self, **scalars: tf.Tensor):
        self._scalars = scalars

    def of(self, dtype: tf.DType) -> dict[str, tf.Tensor]:
        """By name, in the dtype of a variable."""
        return {name: tf.cast(scalar, dtype) for name, scalar in self._scalars.items()}


class _Adam(keras.optimizers.Adam):
    """Adam with epsilon where PyTorch has it: added to the corrected second moment's root.

    Keras adds it before the correction, which makes it up to 32 times larger in the first steps.
    A variable is updated by one kernel that goes through it once. On a GPU Keras would have XLA
    compile a program for each variable instead, which takes longer to start and to run.
    """

    def __init__(self, learning_rate: float, beta_1: float, beta_2: float, epsilon: float):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, jit_compile=False)

    def apply_gradients(self, pairs: Iterable[tuple[tf.Tensor, tf.Variable]], **how: Any) -> Any:
        """One step for all variables; first the bias corrections of both moments.

        ``r m / (sqrt(v / c) + e)`` is ``r sqrt(c) m / (sqrt(v) + e sqrt(c))``: what the kernel
        computes, with a corrected rate and epsilon.
        """
        step = tf.cast(self.iterations + 1, tf.float32)
        root = tf.sqrt(1.0 - tf.pow(self.beta_2, step))
        corrected_already = tf.constant(0.0)
        self._scalars = _Scalars(
            lr=self.learning_rate * root / (1.0 - tf.pow(self.beta_1, step)),
            epsilon=self.epsilon * root,
            beta1=tf.constant(self.beta_1),
            beta2=tf.constant(self.beta_2),
            beta1_power=corrected_already,
            beta2_power=corrected_already,
        )
        return super().apply_gradients(pairs, **how)

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """One step of Adam (Kingma and Ba, ICLR 2015, algorithm 1)."""
        place = self._index_dict[self._var_key(variable)]
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[place].handle,
            v=self._velocities[place].handle,
            grad=gradient,
            **self._scalars.of(variable.dtype),
        )


class _SGD(keras.optimizers.SGD):
    """SGD whose momentum holds gradients, as PyTorch's does, not steps.

    Keras multiplies by the learning rate before it adds to the momentum, so that after the rate has
    fallen it continues with the larger steps of before.
    """

    def __init__(self, learning_rate: float, momentum: float, nesterov: bool):
        super().__init__(learning_rate, momentum, nesterov, jit_compile=False)

    def apply_gradients(self, pairs: Iterable[tuple[tf.Tensor, tf.Variable]], **how: Any) -> Any:
        """One step for all variables."""
        rate = tf.convert_to_tensor(self.learning_rate)
        self._scalars = _Scalars(lr=rate, momentum=tf.constant(self.momentum))
        return super().apply_gradients(pairs, **how)

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """One step with momentum, not dampened."""
        tf.raw_ops.ResourceApplyMomentum(
            var=variable.handle,
            accum=self.momentums[self._index_dict[self._var_key(variable)]].handle,
            grad=gradient,
            use_nesterov=self.nesterov,
            **self._scalars.of(variable.dtype),
        )


class Coupled:
    """An optimizer with PyTorch's ``weight_decay``: it is added to the gradient (not AdamW).

    Args:
      rule: what makes a step of decayed gradients.
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

    @property
    def rates(self) -> list[tf.Variable]:
        """The current learning rate of each variable, the same one for all."""
        return [self._rule.learning_rate] * len(self.trained)

    def named_variables(self) -> dict[str, tf.Variable]:
        """Step counter and moments; the learning rate is set at each step."""
        return {f"{place}": variable for place, variable in enumerate(self._rule.variables)}

    def set_factor(self, factor: float) -> None:
        """Makes the learning rate ``factor`` times its full size."""
        self._rule.learning_rate.assign(self.learning_rate * factor)

    def scale(self, loss: tf.Tensor) -> tf.Tensor:
        """The loss as it is."""
        return loss

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """One update with gradients that are the same on every replica."""
        factor = {d: tf.constant(self.weight_decay, d) for d in {v.dtype for v in self.trained}}
        decayed = [g + factor[v.dtype] * v for g, v in zip(gradients, self.trained, strict=True)]
        pairs = zip(decayed, self.trained, strict=True)
        self._rule.apply_gradients(pairs, skip_gradients_aggregation=True)


class CoupledAdam(Coupled):
    """PyTorch's ``Adam(weight_decay=...)``.

    Args:
      variables, learning_rate, weight_decay: see :class:`Coupled`.
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
        rule = _Adam(learning_rate, beta_1, beta_2, 1e-8)
        super().__init__(rule, variables, learning_rate, weight_decay)


class CoupledSGD(Coupled):
    """PyTorch's ``SGD(weight_decay=..., momentum=...)``.

    Args:
      variables, learning_rate, weight_decay: see :class:`Coupled`.
      momentum: how much of the sum of earlier gradients stays at each step, 0..1.
      nesterov: whether a step looks ahead by the momentum.
    """

    def __init__(
        self,
        variables: Sequence[tf.Variable],
        learning_rate: float,
        weight_decay: float,
        momentum: float = 0.9,
        nesterov: bool = False,
    ):
        rule = _SGD(learning_rate, momentum, nesterov)
        super().__init__(rule, variables, learning_rate, weight_decay)


class OptimizerGroups:
    """Several optimizers that update together: the backbone's and the head's.

    Args:
      groups: optimizers of disjoint sets of variables.
    """

    def __init__(self, *groups: Coupled):
        self.groups = groups

    @property
    def trained(self) -> list[tf.Variable]:
        """All variables that are updated, in the order of the gradients."""
        return [variable for group in self.groups for variable in group.trained]

    @property
    def rates(self) -> list[tf.Variable]:
        """The current learning rate of each variable, that of its group."""
        return [rate for group in self.groups for rate in group.rates]

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

    def scale(self, loss: tf.Tensor) -> tf.Tensor:
        """The loss as it is."""
        return loss

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """One update of every group."""
        place = 0
        for group in self.groups:
            group.apply(gradients[place : place + len(group.trained)])
            place += len(group.trained)


def weight_optimizer(
    network: ReidNetwork, chosen: WeightOptimizer, besides: Sequence[tf.Variable] = ()
) -> OptimizerGroups:
    """The optimizer of a network's weights: one group for the backbone, one for the head.

    ``besides`` are variables that something else trains.
    """
    others = {id(variable) for variable in besides}
    backbone = [v for v in network.backbone.trainable_variables if id(v) not in others]
    make: Callable[..., Coupled] = CoupledAdam
    if chosen.optimizer == "sgd":
        make = partial(CoupledSGD, momentum=chosen.momentum, nesterov=chosen.nesterov)
    return OptimizerGroups(
        make(backbone, chosen.backbone_learning_rate, chosen.weight_decay),
        make(network.head.trainable_variables, chosen.head_learning_rate, chosen.weight_decay),
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


def factor_at(step: int, steps_per_epoch: int, epochs: int, chosen: WeightOptimizer) -> float:
    """The factor on the learning rate at a step, moving every epoch or every step.

    Args:
      step: steps done, >= 0.
      chosen: warm-up, and how the rate falls; both are multiplied where they overlap.
    """
    epoch = step / steps_per_epoch
    if chosen.schedule_every == "epoch":
        epoch = step // steps_per_epoch
    if chosen.schedule == "cosine":
        fallen = along_cosine(epoch, epochs, chosen.final_learning_rate)
    else:
        fallen = in_steps(epoch, chosen.decay_epochs)
    return warm_up(epoch, chosen.learning_rate_warmup, chosen.warmup_start) * fallen
