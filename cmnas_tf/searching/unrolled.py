"""The second-order gradient of the architecture: how the weights would follow is counted in."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from cmnas_tf.layers.batch_norm import running_statistics_kept

Terms = dict[str, tf.Tensor]
LossAndGradients = Callable[[Sequence[tf.Variable]], tuple[Terms, list[tf.Tensor]]]

_DISTANCE = 0.01  # how far the weights are moved for a difference; DARTS, section 2.3


def unrolled_gradient(
    logits: Sequence[tf.Variable],
    weights: Sequence[tf.Variable],
    rates: Sequence[tf.Tensor],
    architecture_gradient: LossAndGradients,
    weight_gradient: LossAndGradients,
) -> tuple[Terms, list[tf.Tensor]]:
    """The gradient of the architecture's loss after a virtual step of the weights, in a replica.

    With ``w' = w - rate * dL_weights(w)``, a step of plain gradient descent, it is
    ``dL_architecture(w')`` for the logits, less the mixed second derivative of ``L_weights`` times
    ``rate * dL_architecture(w')`` for the weights. That product is the difference of two gradients,
    at ``w`` moved by 0.01 forth and back along the vector (DARTS, Liu et al., ICLR 2019, eq. 7
    and 8, here with a rate for each variable). Running statistics are moved by no pass but that of
    ``architecture_gradient``, which stands where a first-order gradient has its only one.

    Args:
      logits: what the gradient is for.
      weights: all that the virtual step moves; they end as they began, to the last bit.
      rates: of the virtual step, a scalar for each of ``weights``.
      architecture_gradient: gives the terms of the architecture's objective and the whole batch's
        gradient for the variables it is called with.
      weight_gradient: likewise of the weights' objective.

    Returns:
      The terms of the architecture's objective at ``w'``, and the gradient for ``logits``.
    """
    start = [tf.identity(weight) for weight in weights]

    def move(steps: Sequence[tf.Tensor]) -> None:
        _assign(weights, [value + step for value, step in zip(start, steps, strict=True)])

    with running_statistics_kept():
        _, descent = weight_gradient(weights)
    move([-tf.cast(rate, d.dtype) * d for rate, d in zip(rates, descent, strict=True)])
    terms, found = architecture_gradient([*logits, *weights])
    direct, following = found[: len(logits)], found[len(logits) :]

    along = [tf.cast(rate, f.dtype) * f for rate, f in zip(rates, following, strict=True)]
    factor = tf.math.divide_no_nan(tf.cast(_DISTANCE, along[0].dtype), tf.linalg.global_norm(along))
    with running_statistics_kept():
        move([factor * a for a in along])
        _, forth = weight_gradient(logits)
        move([-factor * a for a in along])
        _, back = weight_gradient(logits)
    _assign(weights, start)
    gradient = [
        d - tf.math.divide_no_nan(f - b, 2.0 * factor)
        for d, f, b in zip(direct, forth, back, strict=True)
    ]
    return terms, gradient


def _assign(variables: Sequence[tf.Variable], values: Sequence[tf.Tensor]) -> None:
    """From within a replica, values that are the same on every replica."""

    # Above the replicas, where a variable takes a value as it is, whatever its aggregation.
    def update(strategy: tf.distribute.Strategy, values: Sequence[tf.Tensor]) -> None:
        for variable, value in zip(variables, values, strict=True):
            strategy.extended.update(variable, lambda v, x: v.assign(x), args=(value,))

    tf.distribute.get_replica_context().merge_call(update, args=(list(values),))
