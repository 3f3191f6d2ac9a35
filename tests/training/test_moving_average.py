"""The moving average against the authors' numbers, on one device and on two."""

import json

import numpy as np
import tensorflow as tf

from cmnas_tf.architecture import Architecture
from cmnas_tf.models import two_stream
from cmnas_tf.training.moving_average import MovingAverage


def test_equals_the_authors(goldens):
    """Five updates with decay 0.9; weight [1, 2, 3] (i + 1), running mean a tenth of it."""
    golden = json.loads((goldens.folder / "schedules.json").read_text())["ema_decay_0.9"]
    live = {"weight": tf.Variable(tf.ones(3)), "mean": tf.Variable(tf.zeros(3), trainable=False)}
    average = MovingAverage(live, 0.9)
    for i, expected in enumerate(golden):
        live["weight"].assign(np.array([1, 2, 3]) * (i + 1.0))
        live["mean"].assign(np.array([0.1, 0.2, 0.3]) * (i + 1))
        average.update()
        found = np.concatenate([average.variables["weight"], average.variables["mean"]])
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_by_hand_and_without_touching_the_live_weights():
    """0.75 * 4 + 0.25 * 8 = 5, 0.75 * 5 + 0.25 * 8 = 5.75; with decay 0 it is the live weight."""
    live = {"w": tf.Variable(4.0)}
    average, copy = MovingAverage(live, 0.75), MovingAverage(live, 0.0)
    live["w"].assign(8.0)
    for expected in (5.0, 5.75):
        average.update()
        copy.update()
        assert average.variables["w"].numpy() == expected
        assert copy.variables["w"].numpy() == 8.0
    assert live["w"].numpy() == 8.0
    assert not average.variables["w"].trainable


def test_averages_statistics_too():
    network = two_stream(Architecture.separate("resnet18"), 3, "resnet18", width=0.0625)
    average = MovingAverage(network.get_weight_paths(), 0.9)
    assert len(average.variables) == len(network.weights)
    name = "head.neck.moving_variance"
    network.head.neck.moving_variance.assign_add(tf.ones_like(network.head.neck.moving_variance))
    average.update()
    np.testing.assert_allclose(average.variables[name], 1.1 * np.ones(32), rtol=1e-6)


def test_is_the_same_on_every_replica(two_replicas):
    with two_replicas.scope():
        live = {"w": tf.Variable([1.0, 2.0])}
        average = MovingAverage(live, 0.9)

        @tf.function(autograph=False)
        def update():
            average.update()

        live["w"].assign([3.0, 0.0])
        update()
        update()
    copies = two_replicas.experimental_local_results(average.variables["w"])
    assert len(copies) == 2
    for copy in copies:  # 3 - 2 * 0.81 and 2 * 0.81
        np.testing.assert_allclose(copy, [1.38, 1.62], rtol=1e-6)


def test_overwrites_the_live_weights_and_averages_on():
    """0.75 * 4 + 0.25 * 8 = 5, which overwrites the 8; then the weight moves by 4, to 9, and
    0.75 * 5 + 0.25 * 9 = 6."""
    live = {"w": tf.Variable(4.0)}
    average = MovingAverage(live, 0.75)
    live["w"].assign(8.0)
    average.update()
    average.overwrite_live()
    assert (live["w"].numpy(), average.variables["w"].numpy()) == (5.0, 5.0)
    live["w"].assign_add(4.0)
    average.update()
    assert (live["w"].numpy(), average.variables["w"].numpy()) == (9.0, 6.0)


def test_overwrites_every_weight_and_statistic_on_every_replica(two_replicas):
    """Statistics too, which variables of replicas treat in another way."""
    with two_replicas.scope():
        network = two_stream(Architecture.separate("resnet18"), 3, "resnet18", width=0.0625)
        live = network.get_weight_paths()
        average = MovingAverage(live, 0.9)
        for variable in average.variables.values():
            variable.assign(np.random.default_rng(0).random(variable.shape))
        average.overwrite_live()
    for name, variable in live.items():
        copies = two_replicas.experimental_local_results(variable)
        assert len(copies) == 2
        for copy in copies:
            np.testing.assert_array_equal(copy, average.variables[name].numpy(), err_msg=name)
