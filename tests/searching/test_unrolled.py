"""The second-order gradient of the architecture: by hand, of the unrolled loss, in replicas."""

from dataclasses import dataclass

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf.devices.distribution import first_replica
from cmnas_tf.layers.batch_norm import running_statistics_kept
from cmnas_tf.losses import Objective
from cmnas_tf.searching import unrolled
from cmnas_tf.searching.bilevel import Bilevel
from cmnas_tf.searching.unrolled import unrolled_gradient
from cmnas_tf.training.gradient_step import loss_and_gradients
from tests.oracles.finite_differences import central_differences
from tests.training.tiny import (
    IMAGES_PER_IDENTITY,
    OBJECTIVE,
    Recorder,
    batch,
    logits_of,
    supernet,
    values_of,
    weights_of,
)

WEIGHT_OBJECTIVE = Objective(cross_entropy=1.0, triplet=0.5, correlation=1.0, mmd=0.0)
RATE = 0.05


@dataclass
class Rated(Recorder):
    """A recorder with a learning rate for each variable: one for every second, twice as much for
    the others."""

    rate: float = RATE

    @property
    def rates(self):
        return [tf.constant(self.rate * (1 + place % 2)) for place in range(len(self.trained))]


def step_of(network, rate=RATE, **how):
    """Both batches -> the terms and the gradient of the logits; nothing is moved by an update."""
    recorder = Recorder(logits_of(network))
    weights = Rated(weights_of(network), rate=rate)
    bilevel = Bilevel(
        network, recorder, weights, OBJECTIVE, WEIGHT_OBJECTIVE, IMAGES_PER_IDENTITY,
        **{"second_order": True, **how},
    )  # fmt: skip

    def step(architecture_batch, weight_batch):
        terms = bilevel.train_step(architecture_batch, weight_batch, True)
        return terms["architecture"], recorder.gradients

    return step


def gradient_of(network, objective, data, variables, training=True):
    return loss_and_gradients(
        network, objective, data, IMAGES_PER_IDENTITY, variables, training=training
    )


def test_the_example_of_the_paper():
    """DARTS' figure 2: L_train = w^2 - 2 a w + a^2 and L_val = a w - 2 a + 1, at a = 2, w = -2.

    With a rate of 0.1, w' = -2 - 0.1 (2 (-2) - 2 2) = -1.2. dL_val/da at w' is w' - 2 = -3.2, and
    the mixed derivative of L_train is -2, so the gradient is -3.2 - 0.1 (-2) 2 = -2.8.
    """
    a, w = tf.Variable(2.0, dtype=tf.float64), tf.Variable(-2.0, dtype=tf.float64)

    def slope_by(loss):
        def slope(variables):
            with tf.GradientTape() as tape:
                value = loss()
            gradients = tape.gradient(value, variables, unconnected_gradients="zero")
            return {"total": value}, gradients

        return slope

    on_weights = slope_by(lambda: w * w - 2 * a * w + a * a)
    on_architecture = slope_by(lambda: a * w - 2 * a + 1)
    terms, (found,) = unrolled_gradient([a], [w], [tf.constant(0.1)], on_architecture, on_weights)
    np.testing.assert_allclose(found, -2.8, rtol=1e-7)
    np.testing.assert_allclose(terms["total"], 2 * -1.2 - 4 + 1, rtol=1e-7)
    assert (a.numpy(), w.numpy()) == (2.0, -2.0)


@pytest.mark.slow
@pytest.mark.parametrize("use_running_statistics", [False, True])
def test_against_the_unrolled_loss(monkeypatch, use_running_statistics):
    """In float64, at logits that are not equal: central differences of the architecture's loss
    after the virtual step. The weights are moved by less than the paper's 0.01 here, so that no
    ReLU changes sides in between."""
    monkeypatch.setattr(unrolled, "_DISTANCE", 1e-6)
    network, data = supernet("float64"), (batch(1, dtype="float64"), batch(2, dtype="float64"))
    logits, weights = logits_of(network), weights_of(network)
    logits[0].assign([0.4, -0.3])
    logits[1].assign([-0.8, 0.1])
    network(data[1].images, training=True)  # some running statistics
    with running_statistics_kept():
        _, first = step_of(
            network, second_order=False, use_running_statistics=use_running_statistics
        )(*data)
        _, found = step_of(network, use_running_statistics=use_running_statistics)(*data)
    rates, start = [float(rate) for rate in Rated(weights).rates], values_of(weights)

    @tf.function(autograph=False)
    def descent():
        with running_statistics_kept():
            return gradient_of(network, WEIGHT_OBJECTIVE, data[1], weights)[1]

    @tf.function(autograph=False)
    def loss():
        return gradient_of(network, OBJECTIVE, data[0], logits, not use_running_statistics)[0][
            "total"
        ]

    def after_the_step(values):
        for logit, value in zip(logits, values, strict=True):
            logit.assign(value)
        for weight, rate, gradient in zip(weights, rates, descent(), strict=True):
            weight.assign_sub(rate * gradient)
        after = float(loss())
        for weight, value in zip(weights, start, strict=True):
            weight.assign(value)
        return after

    expected = central_differences(after_the_step, np.stack(values_of(logits)), step=1e-6)
    largest = np.abs(expected).max()
    assert np.abs(np.stack(first) - expected).max() > 0.05 * largest  # or nothing is tested
    np.testing.assert_allclose(np.stack(found), expected, rtol=0, atol=1e-5 * largest)


def test_without_a_rate_it_is_the_first_order():
    """The same gradient and the same running statistics, to the last bit."""
    (one, other), data = (supernet(), supernet()), (batch(1), batch(2))
    found = step_of(one, rate=0.0)(*data)
    expected = step_of(other, second_order=False)(*data)
    for a, b in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()
    for a, b in zip(one.variables, other.variables, strict=True):
        assert a.numpy().tobytes() == b.numpy().tobytes(), a.name


def test_the_weights_come_back_and_one_pass_alone_moves_the_statistics():
    """That at the virtual weights, and then update 2's at the real ones; of five passes."""
    (network, other), data = (supernet(), supernet()), (batch(1), batch(2))
    weights = values_of(weights_of(network))
    step_of(network)(*data)
    for before, after in zip(weights, values_of(weights_of(network)), strict=True):
        assert before.tobytes() == after.tobytes()

    statistics = values_of(other.non_trainable_variables)
    _, descent = gradient_of(other, WEIGHT_OBJECTIVE, data[1], weights_of(other))
    for variable, value in zip(other.non_trainable_variables, statistics, strict=True):
        variable.assign(value)
    rates = Rated(weights_of(other)).rates
    for variable, rate, gradient in zip(weights_of(other), rates, descent, strict=True):
        variable.assign_sub(rate * gradient)
    gradient_of(other, OBJECTIVE, data[0], logits_of(other))
    for variable, value in zip(weights_of(other), weights, strict=True):
        variable.assign(value)
    gradient_of(other, WEIGHT_OBJECTIVE, data[1], logits_of(other))
    moved = 0
    for one, expected in zip(
        network.non_trainable_variables, other.non_trainable_variables, strict=True
    ):
        np.testing.assert_allclose(one, expected, rtol=1e-5, atol=1e-6)
        moved += bool(np.any(one.numpy() != np.round(one.numpy())))
    assert moved >= 6


@pytest.mark.slow
def test_two_replicas_find_what_one_does(two_replicas):
    """With statistics over both; every copy of the weights comes back."""
    data = (batch(1), batch(2))
    alone = supernet(synchronized=True)
    terms, expected = tf.function(step_of(alone), autograph=False)(*data)
    with two_replicas.scope():
        network = supernet(synchronized=True)
    step, before = step_of(network), values_of(weights_of(network))
    shares = [
        two_replicas.experimental_distribute_values_from_function(
            lambda context, seed=seed: batch(
                seed, share=context.replica_id_in_sync_group, of=context.num_replicas_in_sync
            )
        )
        for seed in (1, 2)
    ]
    run = tf.function(lambda *batches: two_replicas.run(step, args=batches), autograph=False)
    results = run(*shares)
    with two_replicas.scope():
        found_terms, found = first_replica(results)
    np.testing.assert_allclose(found_terms["total"], terms["total"], rtol=1e-4)
    largest = max(np.abs(gradient).max() for gradient in expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-3 * largest)
    for variable, value in zip(weights_of(network), before, strict=True):
        for copy in two_replicas.experimental_local_results(variable):
            assert copy.numpy().tobytes() == value.tobytes()
