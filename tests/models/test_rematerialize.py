"""Rematerialization changes what is kept in memory, and nothing else."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from cmnas_tf.data.pipeline import Batch
from cmnas_tf.layers import Softmax
from cmnas_tf.losses import Objective
from cmnas_tf.models.stages import rematerialized
from cmnas_tf.search_spaces import CellSpace, NormSpace
from cmnas_tf.training.gradient_step import loss_and_gradients
from tests.training.tiny import IMAGES_PER_IDENTITY, OBJECTIVE, batch, supernet

SPACES = {
    "norms": NormSpace("resnet18", width=0.0625),
    "cells": CellSpace(cells=(1, 1), width=0.0625),
}


def assert_same(again, plain):
    """Gradients but for the order of their sums, and values to the last bit."""
    largest = max(np.abs(gradient).max() for gradient in plain[0])
    for gradient, same in zip(again[0], plain[0], strict=True):
        np.testing.assert_allclose(gradient, same, rtol=0, atol=1e-5 * largest)
    for value, same in zip(again[1], plain[1], strict=True):
        np.testing.assert_array_equal(value, same)


def test_in_replicas(two_replicas):
    """In a graph, where both calls could be taken for one; running statistics move once."""

    def train_once(rematerialize):
        with two_replicas.scope():
            network = supernet()
        variables, everything = network.trainable_variables, network.variables
        if rematerialize:
            backbone = network.backbone
            network.backbone = lambda x, rows, training: rematerialized(
                backbone, {"x": x}, rows=rows, training=training
            )

        @tf.function(autograph=False)
        def step():
            def of_replica():
                return loss_and_gradients(
                    network, OBJECTIVE, batch(1), IMAGES_PER_IDENTITY, variables
                )[1]

            return two_replicas.run(of_replica)

        found = [two_replicas.experimental_local_results(g)[0].numpy() for g in step()]
        return found, [variable.numpy() for variable in everything]

    assert_same(train_once(True), train_once(False))


@pytest.mark.slow
@pytest.mark.parametrize("space", SPACES)
def test_in_every_backbone(space):
    def train_once(rematerialize):
        keras.utils.set_random_seed(1)
        network = SPACES[space].supernet(Softmax(), 2)
        network.backbone.rematerialize = rematerialize
        random = np.random.default_rng(0)
        images = {
            modality: tf.constant(random.normal(size=(4, 64, 16, 3)), tf.float32)
            for modality in ("visible", "infrared")
        }
        few = Batch(images, tf.constant([0, 0, 1, 1]))
        found = loss_and_gradients(network, Objective(), few, 2, network.trainable_variables)[1]
        return found, [variable.numpy() for variable in network.variables]

    assert_same(train_once(True), train_once(False))
