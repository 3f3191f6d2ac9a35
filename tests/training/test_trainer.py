"""A network in training: one step of it."""

import numpy as np
import tensorflow as tf
from cmnas_tf.training.objectives import weight_objective

from cmnas_tf import settings
from cmnas_tf.architecture import Architecture
from cmnas_tf.data.pipeline import Batch
from cmnas_tf.modality import MODALITIES
from cmnas_tf.models.specification import Specification
from cmnas_tf.training.gradient_step import descend
from cmnas_tf.training.trainer import Trainee

NETWORK = settings.Network(backbone="resnet18", width=1 / 16)
SIZE = settings.Input(image_height=32, image_width=16)


def begin(seed=0):
    train = settings.Train(
        run=settings.Run(seed=seed),
        network=NETWORK,
        input=SIZE,
        batch=settings.Batch(identities_per_batch=3, images_per_identity=2),
        optimizer=settings.WeightOptimizer(optimizer="sgd"),
        schedule=settings.TrainSchedule(architecture="separate", average_decay=0.75),
    )
    specification = Specification.of(Architecture.separate("resnet18"), 5, SIZE, NETWORK)
    strategy = tf.distribute.OneDeviceStrategy("CPU:0")
    return Trainee.begin(train, strategy, specification, weight_objective(train.loss))


def batch():
    random = np.random.default_rng(0)
    images = {
        m: tf.constant(random.standard_normal((6, 32, 16, 3), np.float32)) for m in MODALITIES
    }
    return Batch(images, tf.constant([0, 0, 1, 1, 2, 2]))


def test_a_step_descends_and_the_average_follows():
    """From the same seed: what ``descend`` does, and a quarter of it for the average."""
    trainee, alike = begin(), begin()
    before = [weight.numpy() for weight in trainee.network.weights]
    terms = trainee.train_step(batch())
    expected = descend(
        alike.network, weight_objective(settings.Loss()), alike.optimizer, batch(), 2
    )
    assert set(terms) == {"weights"} and set(terms["weights"]) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(terms["weights"][name], value, rtol=1e-5)
    moved = 0
    for old, weight, same in zip(
        before, trainee.network.weights, alike.network.weights, strict=True
    ):
        np.testing.assert_allclose(weight, same, rtol=1e-4, atol=1e-5)
        moved += not np.array_equal(weight, old)
    assert moved > len(before) / 2
    for path, weight in trainee.network.get_weight_paths().items():
        index = next(i for i, other in enumerate(trainee.network.weights) if other is weight)
        average = 0.75 * before[index] + 0.25 * weight.numpy()
        np.testing.assert_allclose(trainee.average.variables[path], average, rtol=1e-5, atol=1e-7)
