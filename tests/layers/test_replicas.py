"""Normalisation on two replicas: synchronised equals one device on the whole batch."""

import contextlib
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from cmnas_tf.layers import BatchNorm, MixedModalityNorm, ModalityNorm
from cmnas_tf.layers.batch_norm import running_statistics_together
from cmnas_tf.modality import Rows

CHANNELS = 3
ROWS = {"visible": 4, "infrared": 6}
# The rows of each replica: half of the visible ones, then half of the infrared ones.
SHARES = ([0, 1, 4, 5, 6], [2, 3, 7, 8, 9])

NORMS = {
    "BatchNorm": BatchNorm,
    "ModalityNorm, separate": lambda **options: ModalityNorm("separate", **options),
    "ModalityNorm, shared": lambda **options: ModalityNorm("shared", **options),
    "MixedModalityNorm": MixedModalityNorm,
}
every_norm = pytest.mark.parametrize("make", NORMS.values(), ids=list(NORMS))


class Pass(NamedTuple):
    """A training pass: output and input gradient [rows, ...], weight gradients, state after it."""

    output: np.ndarray
    input_gradient: np.ndarray
    gradients: list[np.ndarray]
    statistics: list[np.ndarray]


def batch() -> tuple[np.ndarray, np.ndarray]:
    """Rows whose two modalities, and whose two replicas' shares, lie apart; and dy."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((10, 2, 2, CHANNELS)) + np.arange(10)[:, None, None, None]
    return x.astype(np.float32), rng.standard_normal(x.shape).astype(np.float32)


def built(make, **options) -> keras.layers.Layer:
    layer = make(**options)
    layer.build(tf.TensorShape([None, 2, 2, CHANNELS]))
    rng = np.random.default_rng(2)
    layer.set_weights([1.0 + 0.2 * rng.random(weight.shape) for weight in layer.weights])
    return layer


def differentiate(layer, x, dy, replicas: int, within=contextlib.nullcontext):
    """Output of a pass in a context, and the gradient of ``sum(dy * output)`` for the input and the
    weights."""
    rows = Rows({modality: count // replicas for modality, count in ROWS.items()})
    arguments = {} if isinstance(layer, BatchNorm) else {"rows": rows}
    with tf.GradientTape() as tape:
        tape.watch(x)
        with within():
            output = layer(x, training=True, **arguments)
        total = tf.reduce_sum(dy * output)
    return output, *tape.gradient(total, (x, layer.trainable_weights))


def on_one(make) -> Pass:
    layer = built(make)
    output, input_gradient, gradients = differentiate(layer, *map(tf.constant, batch()), 1)
    statistics = [weight.numpy() for weight in layer.non_trainable_weights]
    return Pass(output.numpy(), input_gradient.numpy(), [g.numpy() for g in gradients], statistics)


def on_two(
    make, strategy: tf.distribute.Strategy, within=contextlib.nullcontext, **options
) -> tuple[Pass, list[np.ndarray]]:
    """The same pass, and the second replica's copies of the statistics."""
    with strategy.scope():
        layer = built(make, **options)

    def share(values):
        return strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(values[SHARES[context.replica_id_in_sync_group]])
        )

    @tf.function(autograph=False)
    def step(x, dy):
        return strategy.run(differentiate, args=(layer, x, dy, 2, within))

    output, input_gradient, gradients = step(*map(share, batch()))

    def whole(values) -> np.ndarray:
        """The rows of both replicas in the order of one device."""
        parts = np.concatenate(strategy.experimental_local_results(values))
        return parts[np.argsort(np.concatenate(SHARES))]

    summed = [strategy.reduce("SUM", gradient, axis=None).numpy() for gradient in gradients]
    copies = [
        [copy.numpy() for copy in strategy.experimental_local_results(weight)]
        for weight in layer.non_trainable_weights
    ]
    first, second = ([pair[replica] for pair in copies] for replica in (0, 1))
    return Pass(whole(output), whole(input_gradient), summed, first), second


@every_norm
def test_synchronized_equals_one_device(make, two_replicas):
    """Output, gradients summed over the replicas, and running statistics."""
    one, (two, second) = on_one(make), on_two(make, two_replicas, synchronized=True)
    for name, expected, actual in zip(Pass._fields, one, two, strict=True):
        for a, b in zip(actual, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5, err_msg=name)
    for first, copy in zip(two.statistics, second, strict=True):
        np.testing.assert_array_equal(first, copy)


@every_norm
def test_per_replica_statistics_are_the_replicas_mean(make, two_replicas):
    """Each replica normalises by its own rows, yet both hold the same running statistics."""
    two, second = on_two(make, two_replicas)
    for first, copy in zip(two.statistics, second, strict=True):
        np.testing.assert_array_equal(first, copy)
    x, dy = batch()
    alone = []
    for share in SHARES:
        layer = built(make)
        output, *_ = differentiate(layer, tf.constant(x[share]), tf.constant(dy[share]), 2)
        np.testing.assert_allclose(two.output[share], output, rtol=1e-5, atol=1e-5)
        alone.append([weight.numpy() for weight in layer.non_trainable_weights])
    for both, *each in zip(two.statistics, *alone, strict=True):
        np.testing.assert_allclose(both, np.mean(each, axis=0), rtol=1e-5)


@every_norm
@pytest.mark.parametrize("synchronized", [False, True])
def test_statistics_that_move_together_move_as_each_by_itself(make, two_replicas, synchronized):
    each, copies = on_two(make, two_replicas, synchronized=synchronized)
    together = on_two(make, two_replicas, running_statistics_together, synchronized=synchronized)
    tf.nest.map_structure(np.testing.assert_array_equal, together, (each, copies))


def test_on_one_replica_statistics_move_at_once():
    """As they do outside of replicas, where none waits either."""
    layer = built(BatchNorm)
    before = layer.moving_mean.numpy()
    with running_statistics_together():
        layer(tf.constant(batch()[0]), training=True)
        assert (layer.moving_mean.numpy() != before).all()
