"""Dynamic loss scaling: exact where gradients are finite, a step left out where they are not."""

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf.training.gradient_step import gradient_step
from cmnas_tf.training.loss_scale import LossScaled, scaled_for
from cmnas_tf.training.optimizers import Adam, Coupled, OptimizerGroups
from tests.training.tiny import (
    IMAGES_PER_IDENTITY,
    OBJECTIVE,
    batch,
    supernet,
    values_of,
    weights_of,
)

FIRST = 2.0**15


def optimizer_of(values):
    variables = [tf.Variable(value) for value in values]
    groups = OptimizerGroups(*(Coupled(Adam(), [v], 0.1, 0.01) for v in variables))
    return variables, groups


def apply(optimizer, gradients):
    """In a replica, as training does."""
    tf.distribute.get_strategy().run(optimizer.apply, args=(gradients,))


def test_finite_steps_are_those_of_the_optimizer_alone():
    values = [np.float32([1.0, -2.0]), np.float32([0.5])]
    plain_variables, plain = optimizer_of(values)
    variables, optimizer = optimizer_of(values)
    scaled = LossScaled(optimizer)
    for seed in range(3):
        random = np.random.default_rng(seed)
        gradients = [tf.constant(random.normal(size=v.shape), tf.float32) for v in values]
        apply(plain, gradients)
        apply(scaled, [scaled.scale(gradient) for gradient in gradients])
    for expected, found in zip(plain_variables, variables, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert scaled.factor.numpy() == FIRST
    assert scaled.finite_steps.numpy() == 3


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_a_step_that_is_not_finite_is_left_out(bad):
    variables, optimizer = optimizer_of([np.float32([1.0]), np.float32([2.0])])
    scaled = LossScaled(optimizer)
    apply(scaled, [tf.constant([FIRST]), tf.constant([FIRST])])
    state = {**scaled.named_variables(), **{str(i): v for i, v in enumerate(variables)}}
    before = {name: variable.numpy() for name, variable in state.items()}
    apply(scaled, [tf.constant([1.0]), tf.constant([bad], tf.float32)])  # in one group only
    changed = {name for name, variable in state.items() if (variable.numpy() != before[name]).any()}
    assert changed == {"loss_scale/factor", "loss_scale/finite_steps"}
    assert scaled.factor.numpy() == FIRST / 2
    assert scaled.finite_steps.numpy() == 0


def test_the_factor_doubles_after_2000_finite_steps_and_stays_at_least_1():
    _, optimizer = optimizer_of([np.float32([1.0])])
    scaled = LossScaled(optimizer)
    scaled.finite_steps.assign(1998)
    apply(scaled, [tf.constant([1.0])])
    assert scaled.factor.numpy() == FIRST and scaled.finite_steps.numpy() == 1999
    apply(scaled, [tf.constant([1.0])])
    assert scaled.factor.numpy() == 2 * FIRST and scaled.finite_steps.numpy() == 0
    scaled.factor.assign(1.0)
    apply(scaled, [tf.constant([np.nan], tf.float32)])
    assert scaled.factor.numpy() == 1.0


@pytest.mark.parametrize("finite", [True, False])
def test_on_two_replicas(two_replicas, finite):
    with two_replicas.scope():
        variable = tf.Variable([1.0])
        scaled = LossScaled(Coupled(Adam(), [variable], 0.1, 0.0))

    @tf.function(autograph=False)
    def step(gradient):
        two_replicas.run(scaled.apply, args=([gradient],))

    step(tf.constant([FIRST if finite else np.inf], tf.float32))
    copies = [copy.numpy() for copy in two_replicas.experimental_local_results(variable)]
    np.testing.assert_array_equal(copies[0], copies[1])
    # Adam's first step is the learning rate, whatever the gradient's size.
    np.testing.assert_allclose(copies[0], [0.9 if finite else 1.0], rtol=1e-6)
    assert scaled.factor.numpy() == (FIRST if finite else FIRST / 2)


def test_only_float16_needs_it():
    _, optimizer = optimizer_of([np.float32([1.0])])
    assert isinstance(scaled_for("float16", optimizer), LossScaled)
    assert scaled_for("bfloat16", optimizer) is optimizer
    assert scaled_for("float32", optimizer) is optimizer


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_step_in_narrow_numbers_goes_down_like_one_in_float32(two_replicas, precision):
    """The update of every weight points where that of float32 points, on two replicas."""
    with two_replicas.scope():
        exact, narrow = supernet(), supernet(f"mixed_{precision}")
        start = values_of(weights_of(exact))
        optimizers = [
            scaled_for(name, Coupled(Adam(beta_1=0.0), weights_of(network), 1e-3, 0.0))
            for name, network in (("float32", exact), (precision, narrow))
        ]

    @tf.function(autograph=False)
    def step(data):
        for network, optimizer in zip((exact, narrow), optimizers, strict=True):
            two_replicas.run(
                gradient_step, args=(network, OBJECTIVE, optimizer, data, IMAGES_PER_IDENTITY)
            )

    shares = two_replicas.experimental_distribute_values_from_function(
        lambda context: batch(3, share=context.replica_id_in_sync_group, of=2)
    )
    step(shares)
    moved = [
        np.concatenate([(new - old).ravel() for new, old in zip(values_of(v), start, strict=True)])
        for v in (weights_of(exact), weights_of(narrow))
    ]
    cosine = moved[0] @ moved[1] / np.linalg.norm(moved[0]) / np.linalg.norm(moved[1])
    assert cosine > 0.8
