"""Training in float16: gradients are kept within its range by scaling the loss."""

from collections.abc import Sequence

import tensorflow as tf

from cmnas_tf.training.optimizers import Optimizer

_FIRST = 2.0**15
_DOUBLE_AFTER = 2000


class LossScaled(Optimizer):
    """An optimizer whose loss is multiplied by a factor that follows the gradients' range.

    Dynamic loss scaling (Micikevicius et al., ICLR 2018, section 3.2; the constants are those of
    Keras): a step whose gradients are not finite is left out and halves the factor, 2000 steps that
    are finite double it. The factor is a power of two, so scaling costs no digits.

    Attributes:
      factor: scalar float32.
      finite_steps: steps since the factor last changed, scalar int64.

    Args:
      optimizer: what updates the variables; its state and this one's are saved together.
    """

    def __init__(self, optimizer: Optimizer):
        self._optimizer = optimizer
        self.trained, self.rates = optimizer.trained, optimizer.rates
        once = {"trainable": False, "aggregation": tf.VariableAggregation.ONLY_FIRST_REPLICA}
        self.factor = tf.Variable(_FIRST, name="loss_scale", **once)
        self.finite_steps = tf.Variable(0, name="finite_steps", dtype=tf.int64, **once)

    def named_variables(self) -> dict[str, tf.Variable]:
        """Those of the optimizer, and its own."""
        own = {"loss_scale/factor": self.factor, "loss_scale/finite_steps": self.finite_steps}
        return {**self._optimizer.named_variables(), **own}

    def set_factor(self, factor: float) -> None:
        """See :class:`Optimizer`."""
        self._optimizer.set_factor(factor)

    def scale(self, loss: tf.Tensor) -> tf.Tensor:
        """The loss to differentiate, a scalar."""
        return loss * tf.cast(self.factor, loss.dtype)

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """One update with gradients of the scaled loss, or none where they are not finite."""
        unscaled = [gradient / self.factor for gradient in gradients]
        finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(g)) for g in unscaled])

        # A condition around an update must be above the replicas, which all take the same branch.
        def update(strategy: tf.distribute.Strategy, finite: tf.Tensor, unscaled) -> None:
            finite = strategy.experimental_local_results(finite)[0]

            def apply() -> None:
                strategy.extended.call_for_each_replica(self._optimizer.apply, args=(unscaled,))
                self._count_up()

            tf.cond(finite, apply, self._halve)

        tf.distribute.get_replica_context().merge_call(update, args=(finite, unscaled))

    def _count_up(self) -> None:
        steps = self.finite_steps + 1
        double = steps >= _DOUBLE_AFTER
        self.factor.assign(tf.where(double, self.factor * 2.0, self.factor))
        self.finite_steps.assign(tf.where(double, tf.zeros_like(steps), steps))

    def _halve(self) -> None:
        self.factor.assign(tf.maximum(self.factor / 2.0, 1.0))
        self.finite_steps.assign(0)


def scaled_for(precision: str, optimizer: Optimizer) -> Optimizer:
    """The optimizer, with its loss scaled where the precision needs that: in float16."""
    return LossScaled(optimizer) if precision == "float16" else optimizer
