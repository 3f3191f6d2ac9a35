"""One update: whose gradient, of what, and what it leaves alone."""

import numpy as np
import tensorflow as tf

from cmnas_tf.modality import Rows
from cmnas_tf.training.gradient_step import gradient_step
from cmnas_tf.training.optimizers import Adam, Coupled
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


def terms_plainly(network, data):
    """The objective of a batch, called directly."""
    n = len(data.labels)
    outputs = network(data.images, training=True)
    parts = outputs.by_modality(Rows({"visible": n, "infrared": n}))
    return OBJECTIVE(parts, data.labels, IMAGES_PER_IDENTITY)


def test_the_optimizer_gets_the_gradient_of_the_total():
    network, data = supernet("float64"), batch(3, dtype="float64")
    recorder = Recorder(network.trainable_variables)
    terms = gradient_step(network, OBJECTIVE, recorder, data, IMAGES_PER_IDENTITY)
    with tf.GradientTape() as tape:
        expected = terms_plainly(network, data)
    assert set(terms) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(terms[name], value, rtol=1e-12)
    gradients = tape.gradient(expected["total"], network.trainable_variables)
    for found, gradient in zip(recorder.gradients, gradients, strict=True):
        np.testing.assert_allclose(found, gradient, rtol=1e-9, atol=1e-12)


def test_terms_are_those_before_the_update():
    network, data = supernet("float64"), batch(3, dtype="float64")
    before = float(terms_plainly(network, data)["total"])
    optimizer = Coupled(Adam(), weights_of(network), 0.01, 0.0)
    found = gradient_step(network, OBJECTIVE, optimizer, data, IMAGES_PER_IDENTITY)
    assert float(found["total"]) == before
    assert float(terms_plainly(network, data)["total"]) < before


def test_only_the_optimizers_variables_move_and_the_running_statistics():
    network = supernet()
    trained = weights_of(network)[::2]
    others = [v for v in network.trainable_variables if all(v is not t for t in trained)]
    statistics = network.non_trainable_variables
    before = values_of(trained), values_of(others), values_of(statistics)
    gradient_step(
        network, OBJECTIVE, Coupled(Adam(), trained, 0.01, 0.0), batch(3), IMAGES_PER_IDENTITY
    )
    for old, variable in zip(before[0], trained, strict=True):
        assert (old != variable.numpy()).any()
    for old, variable in zip(before[1], others, strict=True):
        np.testing.assert_array_equal(old, variable)
    moved = [(old != v.numpy()).any() for old, v in zip(before[2], statistics, strict=True)]
    assert sum(moved) == 2 * 7  # mean and variance of two sites with three norms, and of the neck


def test_a_variable_that_the_loss_does_not_depend_on_gets_a_zero_gradient():
    """It still decays, as in PyTorch's Adam with a zero gradient."""
    network, unused = supernet(), tf.Variable([1.0, -2.0])
    recorder = Recorder([*logits_of(network), unused])
    gradient_step(network, OBJECTIVE, recorder, batch(3), IMAGES_PER_IDENTITY)
    np.testing.assert_array_equal(recorder.gradients[-1], [0.0, 0.0])
    assert all(np.abs(gradient).max() > 0 for gradient in recorder.gradients[:-1])
