"""Two replicas compute what one computes."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from cmnas_tf.errors import BadInput
from cmnas_tf.models import Embeddings
from cmnas_tf.training.bilevel import Bilevel
from cmnas_tf.training.descent import descend
from cmnas_tf.training.distribution import (
    first_replica,
    gather_batch,
    gradient_of_batch,
    make_strategy,
)
from cmnas_tf.training.optimizers import CoupledAdam
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


def shares(strategy, seed, dtype="float32"):
    """A batch cut up over the replicas."""
    return strategy.experimental_distribute_values_from_function(
        lambda context: batch(
            seed,
            dtype=dtype,
            share=context.replica_id_in_sync_group,
            of=context.num_replicas_in_sync,
        )
    )


def assert_close(found, expected, tolerance):
    """As a share of the largest entry of each array."""
    for one, other in zip(found, expected, strict=True):
        one, other = np.asarray(one), np.asarray(other)
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * np.abs(other).max())


def copies_of(strategy, variables):
    """The variables' values on every replica."""
    return [
        [copy.numpy() for copy in strategy.experimental_local_results(variable)]
        for variable in variables
    ]


def test_one_replica_gathers_nothing():
    outputs = {"visible": Embeddings(tf.ones([2, 3]), tf.ones([2, 3]), tf.ones([2, 4]))}
    parts, labels = gather_batch(outputs, tf.constant([1, 2]))
    assert parts == outputs
    assert labels.numpy().tolist() == [1, 2]


def test_gathering_puts_the_replicas_rows_one_after_the_other(two_replicas):
    """Each field of each modality by itself; labels keep their integers."""

    @tf.function
    def run():
        def in_replica():
            number = tf.distribute.get_replica_context().replica_id_in_sync_group
            rows = 10.0 * tf.cast(number, tf.float32) + tf.constant([[0.0], [1.0]])
            outputs = {
                "visible": Embeddings(rows, tf.tile(rows + 100, [1, 2]), rows + 200),
                "infrared": Embeddings(rows + 300, tf.tile(rows + 400, [1, 2]), rows + 500),
            }
            parts, labels = gather_batch(outputs, tf.repeat(number, 2))
            assert [field.shape.as_list() for field in parts["visible"]] == [[4, 1], [4, 2], [4, 1]]
            return [*parts["visible"], *parts["infrared"]], labels

        return two_replicas.run(in_replica)

    fields, labels = run()
    for replica in range(2):
        of_replica = [two_replicas.experimental_local_results(f)[replica].numpy() for f in fields]
        for start, found in zip(range(0, 600, 100), of_replica, strict=True):
            np.testing.assert_array_equal(found[:, 0], np.array([0, 1, 10, 11]) + start)
            np.testing.assert_array_equal(found, np.repeat(found[:, :1], found.shape[1], axis=1))
        found = two_replicas.experimental_local_results(labels)[replica]
        assert found.numpy().tolist() == [0, 0, 1, 1]


def test_the_gradient_of_a_loss_between_the_replicas_rows(two_replicas):
    """Rows w and 3w of the two replicas; the loss w * 3w = 3 w^2 has the gradient 6 w = 12."""
    with two_replicas.scope():
        w = tf.Variable(2.0)

    @tf.function
    def run():
        def in_replica():
            replica = tf.distribute.get_replica_context()
            factor = 1.0 + 2.0 * tf.cast(replica.replica_id_in_sync_group, tf.float32)
            with tf.GradientTape() as tape:
                row = tf.reshape(factor * w, [1, 1])
                parts, _ = gather_batch({"visible": Embeddings(row, row, row)}, tf.constant([0]))
                loss = parts["visible"].pooled[0, 0] * parts["visible"].embedding[1, 0]
            return gradient_of_batch(tape, loss, [w])

        return two_replicas.run(in_replica)

    for gradient in two_replicas.experimental_local_results(run()[0]):
        np.testing.assert_allclose(gradient, 12.0, rtol=1e-6)


def test_first_replica_takes_each_leaf_once(two_replicas):
    with two_replicas.scope():
        found = first_replica(
            two_replicas.run(lambda: {"a": tf.constant(1.0), "b": {"c": tf.constant([2.0])}})
        )
    assert found["a"].numpy() == 1.0
    assert found["b"]["c"].numpy().tolist() == [2.0]


class WithoutNorm(keras.layers.Layer):
    """In the place of a site's norm: hands on what it gets."""

    def __init__(self, site):
        super().__init__(name=site)

    def call(self, x, rows, training=False):
        return x


@pytest.mark.parametrize(
    ("make_norm", "dtype", "tolerance"),
    [
        pytest.param(None, "float64", 1e-10, marks=pytest.mark.slow),
        (None, "float32", 1e-4),
        (WithoutNorm, "float32", 1e-5),
    ],
)
def test_gradients_and_terms_of_two_replicas_are_those_of_one(
    two_replicas, make_norm, dtype, tolerance
):
    """With synchronised batch norm, or none in the backbone; in float32 another kernel normalises
    one replica."""

    def network():
        return supernet(dtype, synchronized=True, make_norm=make_norm)

    def step(model, data):
        recorder = Recorder(model.backbone.trainable_variables)
        terms = descend(model, OBJECTIVE, recorder, data, IMAGES_PER_IDENTITY)
        return list(terms.values()), recorder.gradients

    one = network()
    with two_replicas.scope():
        two = network()
    terms, gradients = step(one, batch(7, dtype=dtype))

    @tf.function
    def distributed(data):
        return two_replicas.run(step, args=(two, data))

    with two_replicas.scope():
        found = distributed(shares(two_replicas, 7, dtype))
    for replica in range(2):
        found_terms, found_gradients = (
            [two_replicas.experimental_local_results(value)[replica] for value in part]
            for part in found
        )
        assert_close(found_terms, terms, min(tolerance, 1e-5))
        assert_close(found_gradients, gradients, tolerance)


def bilevel_of(network):
    return Bilevel(
        network,
        CoupledAdam(logits_of(network), 0.01, 1e-3),
        CoupledAdam(weights_of(network), 0.01, 5e-4),
        OBJECTIVE,
        OBJECTIVE,
        IMAGES_PER_IDENTITY,
    )


def test_search_steps_of_two_replicas_are_those_of_one(two_replicas):
    """Two steps with synchronised batch norm: the same logits, weights and running statistics, to
    within 1e-5 of the largest entry; every replica has the same."""
    one = supernet("float64", synchronized=True)
    with two_replicas.scope():
        two = supernet("float64", synchronized=True)
        bilevel = bilevel_of(two)

    @tf.function
    def distributed(*batches):
        return two_replicas.run(bilevel.train_step, args=(*batches, True))

    single = bilevel_of(one)
    for number in range(2):
        seeds = 2 * number, 2 * number + 1
        terms = single.train_step(*(batch(seed, dtype="float64") for seed in seeds), True)
        with two_replicas.scope():
            found = first_replica(
                distributed(*(shares(two_replicas, seed, "float64") for seed in seeds))
            )
        assert_close(tf.nest.flatten(found), tf.nest.flatten(terms), 1e-5)
    for (first, second), expected in zip(
        copies_of(two_replicas, two.variables), values_of(one.variables), strict=True
    ):
        np.testing.assert_array_equal(first, second)
        assert_close([first], [expected], 1e-5)


@pytest.mark.slow
def test_replicas_that_normalise_for_themselves_stay_alike(two_replicas):
    """Per-replica batch norm: another result than one device has, but the same on every replica,
    running statistics and optimizer state included; so a checkpoint of one replica is the whole."""
    with two_replicas.scope():
        network = supernet()
        bilevel = bilevel_of(network)
    before = values_of(network.variables)

    @tf.function
    def distributed(*batches):
        return two_replicas.run(bilevel.train_step, args=(*batches, True))

    with two_replicas.scope():
        for seed in (0, 2):
            distributed(shares(two_replicas, seed), shares(two_replicas, seed + 1))
    state = [
        *network.variables,
        *bilevel.architecture_optimizer.named_variables().values(),
        *bilevel.weight_optimizer.named_variables().values(),
    ]
    for first, second in copies_of(two_replicas, state):
        np.testing.assert_array_equal(first, second)
    moved = [(a != b).any() for a, b in zip(before, values_of(network.variables), strict=True)]
    assert sum(moved) == len(moved) - 1  # all but the neck's offset


def test_a_cpu_in_use_cannot_be_cut_up():
    tf.zeros(1)
    with pytest.raises(BadInput, match="--logical_devices=3"):
        make_strategy(3)
