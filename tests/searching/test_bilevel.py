"""The two updates of a search step: what each moves, in which order, by which gradient."""

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf.devices.distribution import compiled_on
from cmnas_tf.losses import Objective
from cmnas_tf.modality import Rows
from cmnas_tf.searching.bilevel import Bilevel
from cmnas_tf.training.optimizers import SGD, Adam, Coupled
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

WEIGHT_OBJECTIVE = Objective(cross_entropy=1.0, triplet=0.5, correlation=0.0, mmd=0.0)


def bilevel_of(network, architecture, weights, **others):
    objectives = OBJECTIVE, WEIGHT_OBJECTIVE
    return Bilevel(network, architecture, weights, *objectives, IMAGES_PER_IDENTITY, **others)


def adam(variables):
    return Coupled(Adam(), variables, 0.01, 1e-3)


def total(network, objective, data, training=True):
    n = len(data.labels)
    parts = network(data.images, training=training).by_modality(Rows({"visible": n, "infrared": n}))
    return objective(parts, data.labels, IMAGES_PER_IDENTITY)["total"]


def test_after_the_architecture_update_all_weights_are_bit_identical():
    network = supernet()
    weights, logits = weights_of(network), logits_of(network)
    before = values_of(weights), values_of(logits)
    step = bilevel_of(network, adam(logits), Recorder(weights)).train_step
    step(batch(1), batch(2), update_architecture=True)
    for old, new in zip(before[0], values_of(weights), strict=True):
        assert old.tobytes() == new.tobytes()
    for old, new in zip(before[1], values_of(logits), strict=True):
        assert (old != new).all()


def test_after_the_weight_update_all_logits_are_bit_identical():
    network = supernet()
    weights, logits = weights_of(network), logits_of(network)
    before = values_of(weights), values_of(logits)
    step = bilevel_of(network, Recorder(logits), adam(weights)).train_step
    step(batch(1), batch(2), update_architecture=True)
    for old, new in zip(before[1], values_of(logits), strict=True):
        assert old.tobytes() == new.tobytes()
    for old, new in zip(before[0], values_of(weights), strict=True):
        assert (old != new).any()


def test_warm_up_moves_the_weights_alone():
    """The logits' optimizer does not move either: no step is counted, no decay is applied."""
    network = supernet()
    logits = logits_of(network)
    for logit in logits:
        logit.assign([0.3, -0.2])
    optimizer = adam(logits)
    bilevel = bilevel_of(network, optimizer, adam(weights_of(network)))
    terms = bilevel.train_step(batch(1), batch(2), update_architecture=False)
    assert set(terms) == {"weights"}
    for logit in logits:
        assert logit.numpy().tolist() == np.float32([0.3, -0.2]).tolist()
    for variable in optimizer.named_variables().values():
        assert not variable.numpy().any()


def test_the_variables_must_be_divided_between_the_optimizers():
    network = supernet()
    weights, logits = weights_of(network), logits_of(network)
    bilevel_of(network, Recorder(logits), Recorder(weights))
    for architecture, others in (
        (logits, network.trainable_variables),  # both train the logits
        (logits[:1], weights),  # none trains the second site
        (logits, weights[1:]),
        ([*logits, tf.Variable(0.0)], weights),  # not of this network
    ):
        with pytest.raises(ValueError, match="must divide the trainable variables"):
            bilevel_of(network, Recorder(architecture), Recorder(others))


def test_each_update_sees_its_own_batch_and_objective_and_the_first_comes_first():
    """The logits follow the architecture objective at the old weights; then the weights follow
    theirs at the new logits."""
    network, plain = supernet("float64"), supernet("float64")
    first, second = (batch(seed, dtype="float64") for seed in (1, 2))
    bilevel = bilevel_of(network, adam(logits_of(network)), adam(weights_of(network)))
    terms = bilevel.train_step(first, second, update_architecture=True)
    found = []
    for objective, variables, data in (
        (OBJECTIVE, logits_of(plain), first),
        (WEIGHT_OBJECTIVE, weights_of(plain), second),
    ):
        optimizer = adam(variables)
        with tf.GradientTape() as tape:
            found.append(total(plain, objective, data))
        optimizer.apply(tape.gradient(found[-1], variables))
    assert set(terms["architecture"]) == {
        "cross_entropy", "triplet", "correlation", "mmd", "total",
    }  # fmt: skip
    assert set(terms["weights"]) == {"cross_entropy", "triplet", "total"}
    np.testing.assert_allclose(terms["architecture"]["total"], found[0], rtol=1e-12)
    np.testing.assert_allclose(terms["weights"]["total"], found[1], rtol=1e-12)
    for one, other in zip(network.variables, plain.variables, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_as_tested_the_architecture_update_neither_uses_nor_moves_batch_statistics():
    network, data = supernet(), batch(1)
    recorder = Recorder(logits_of(network))
    bilevel = bilevel_of(
        network, recorder, Recorder(weights_of(network)), use_running_statistics=True
    )
    before = values_of(network.non_trainable_variables)
    terms = bilevel.update_architecture(data, data)
    for old, new in zip(before, values_of(network.non_trainable_variables), strict=True):
        assert old.tobytes() == new.tobytes()
    np.testing.assert_array_equal(terms["total"], total(network, OBJECTIVE, data, training=False))
    assert float(terms["total"]) != float(total(network, OBJECTIVE, data))


@pytest.mark.parametrize("use_running_statistics", [False, True])
def test_the_architecture_gradient_against_finite_differences(use_running_statistics):
    """In float64, at logits that are not equal, for both sites; the weights' sampled likewise."""
    network, data = supernet("float64"), batch(1, dtype="float64")
    network(batch(2, dtype="float64").images, training=True)  # some running statistics
    logits = logits_of(network)
    logits[0].assign([0.4, -0.3])
    logits[1].assign([-0.8, 0.1])
    recorder = Recorder(logits)
    weights = Recorder(weights_of(network))
    bilevel_of(
        network, recorder, weights, use_running_statistics=use_running_statistics
    ).update_architecture(data, data)
    loss = tf.function(
        lambda: total(network, OBJECTIVE, data, training=not use_running_statistics),
        autograph=False,
    )

    def at(values):
        for logit, value in zip(logits, values, strict=True):
            logit.assign(value)
        return loss()

    expected = central_differences(at, np.stack(values_of(logits)))
    assert np.abs(expected).min() > 1e-5
    np.testing.assert_allclose(np.stack(recorder.gradients), expected, rtol=1e-6, atol=1e-9)


def test_the_weight_gradient_against_finite_differences():
    """In float64, for every variable along a random direction of its own."""
    network, data = supernet("float64"), batch(1, dtype="float64")
    recorder = Recorder(weights_of(network))
    bilevel_of(network, Recorder(logits_of(network)), recorder).train_step(data, data, False)
    loss = tf.function(lambda: total(network, WEIGHT_OBJECTIVE, data), autograph=False)
    random = np.random.default_rng(0)
    for variable, gradient in zip(recorder.trained, recorder.gradients, strict=True):
        start, direction = variable.numpy(), random.normal(size=variable.shape)

        def along(distance, variable=variable, start=start, direction=direction):
            variable.assign(start + distance * direction)
            return loss()

        expected = central_differences(along, np.array(0.0))
        variable.assign(start)
        assert abs(expected) > 1e-6, variable.name
        np.testing.assert_allclose(np.vdot(gradient, direction), expected, rtol=1e-5)


@pytest.mark.parametrize("how", [{}, {"second_order": True}, {"use_running_statistics": True}])
def test_updates_that_xla_compiles_are_the_same_updates(how):
    """Logits and weights after two steps of SGD, which keeps small differences small."""
    moved = []
    for by_xla in (False, True):
        network = supernet()
        weights, logits = weights_of(network), logits_of(network)
        of_logits, of_weights = (Coupled(SGD(), of, 0.1, 1e-3) for of in (logits, weights))
        step = bilevel_of(network, of_logits, of_weights, **how).train_step
        run = compiled_on(tf.distribute.OneDeviceStrategy("CPU:0"), by_xla)
        for number in (1, 3):
            step(batch(number), batch(number + 1), True, run)
        moved.append(values_of([*logits, *weights]))
    for graph, compiled in zip(*moved, strict=True):
        np.testing.assert_allclose(compiled, graph, rtol=1e-3, atol=1e-4)
