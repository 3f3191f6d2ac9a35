"""Folding changes the graph, never the numbers."""

from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from cmnas_tf.architecture import Architecture
from cmnas_tf.cell_plan import CellPlan
from cmnas_tf.layers import BatchNorm
from cmnas_tf.models.specification import Specification
from cmnas_tf.serving.encoder import InferenceGraph, _encode
from tests.models.genotypes import EVERYTHING


def operations(graph):
    return Counter(node.op for node in graph._graph.node)


def run(graph, x, weights=None):
    return tf.function(lambda x: graph(x, weights), autograph=False)(tf.constant(x)).numpy()


def test_a_folded_kernel_by_hand():
    """Kernel 3, mean 2, variance 4 - epsilon, gamma 10, beta 1.

    scale = 10 / 2 = 5, so the kernel is 15 and the bias 1 - 2 * 5 = -9; the input 1 gives 6,
    which is (1 * 3 - 2) / 2 * 10 + 1.
    """
    norm = BatchNorm()
    norm.build([None, 1, 1, 1])
    for variable, value in (
        (norm.gamma, 10.0),
        (norm.beta, 1.0),
        (norm.moving_mean, 2.0),
        (norm.moving_variance, 4.0 - norm.epsilon),
    ):
        variable.assign([value])
    kernel = tf.Variable([[[[3.0]]]])
    graph = InferenceGraph(
        lambda x: norm(tf.nn.conv2d(x, kernel, 1, "SAME")), tf.TensorSpec([None, 1, 1, 1]), True
    )
    assert operations(graph)["FusedBatchNormV3"] == 0
    arrays = sorted(float(array.item()) for array in graph.weights.values())
    np.testing.assert_allclose(arrays, [-9, 15], rtol=1e-6)
    np.testing.assert_allclose(run(graph, [[[[1.0]]]]), [[[[6.0]]]], rtol=1e-6)


def test_a_convolution_that_is_used_twice_keeps_its_norm():
    norm, kernel = BatchNorm(), tf.Variable(tf.ones([1, 1, 2, 2]))

    def function(x):
        y = tf.nn.conv2d(x, kernel, 1, "SAME")
        return norm(y) + y

    x = np.random.default_rng(0).standard_normal((2, 3, 3, 2)).astype(np.float32)
    graph = InferenceGraph(function, tf.TensorSpec([None, 3, 3, 2]), True)
    assert operations(graph)["FusedBatchNormV3"] == 1
    np.testing.assert_allclose(run(graph, x), function(x), rtol=1e-6)


PLAN = CellPlan(EVERYTHING, (1,))
NETWORKS = {
    "resnet18": Architecture.separate_until("layer1", "resnet18"),
    "cells": Architecture.shared(PLAN),
}


@pytest.mark.parametrize("name", ["resnet18", pytest.param("cells", marks=pytest.mark.slow)])
def test_networks_give_the_same_embeddings(name):
    """Every vector of the norms is random; the weights are constants, or given."""
    specification = Specification(NETWORKS[name], 3, 32, 16, width_factor=1 / 16)
    keras.utils.set_random_seed(1)
    network, random = specification.build(), np.random.default_rng(1)
    for path, variable in network.get_weight_paths().items():
        if variable.shape.rank == 1:
            noise = 0.3 * random.standard_normal(variable.shape).astype(np.float32)
            positive = path.endswith(("gamma", "moving_variance"))
            variable.assign(np.exp(noise) if positive else noise)
    x = random.standard_normal((3, 32, 16, 3)).astype(np.float32)
    spec = tf.TensorSpec([None, 32, 16, 3])
    wanted = network.embed(x, "infrared").embedding.numpy()
    plain, folded = (
        InferenceGraph(lambda x: _encode(network, "infrared", x), spec, fold)
        for fold in (False, True)
    )
    norms = operations(plain)["FusedBatchNormV3"] - operations(folded)["FusedBatchNormV3"]
    assert norms == operations(folded)["BiasAdd"] - operations(plain)["BiasAdd"] > 0
    if name == "resnet18":  # no convolution precedes the neck
        assert operations(folded)["FusedBatchNormV3"] == 1
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(run(plain, x), wanted, rtol=0, atol=1e-6 * scale)
    np.testing.assert_allclose(run(folded, x), wanted, rtol=0, atol=1e-5 * scale)
    variables = {name: tf.Variable(array) for name, array in folded.weights.items()}
    given = run(folded, x, variables)
    np.testing.assert_allclose(given, run(folded, x), rtol=0, atol=1e-6 * scale)
    for variable in variables.values():
        variable.assign(tf.zeros_like(variable))
    assert np.abs(run(folded, x, variables)).max() == 0
