"""Two replicas compute what one computes; which devices there are; how a batch is divided."""

import json
import os
import socket
import types

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from cmnas_tf.data.sampling import Sampling
from cmnas_tf.devices import distribution
from cmnas_tf.devices.devices import Devices
from cmnas_tf.devices.distribution import (
    check_division,
    distributed_batches,
    first_replica,
    gather_batch,
    gradient_of_batch,
    make_strategy,
    map_over_replicas,
)
from cmnas_tf.errors import BadInput
from cmnas_tf.layers import ModalityNorm
from cmnas_tf.models import Embeddings
from cmnas_tf.searching.bilevel import Bilevel
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

    @tf.function(autograph=False)
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

    @tf.function(autograph=False)
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
        (WithoutNorm, "float32", 1e-5),
    ],
)
def test_gradients_and_terms_of_two_replicas_are_those_of_one(
    two_replicas, make_norm, dtype, tolerance
):
    """With synchronised batch norm, or none in the backbone."""

    def network():
        return supernet(dtype, synchronized=True, make_norm=make_norm)

    def step(model, data):
        recorder = Recorder(model.backbone.trainable_variables)
        terms = gradient_step(model, OBJECTIVE, recorder, data, IMAGES_PER_IDENTITY)
        return list(terms.values()), recorder.gradients

    one = network()
    with two_replicas.scope():
        two = network()
    terms, gradients = step(one, batch(7, dtype=dtype))

    @tf.function(autograph=False)
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


class Noting(Coupled):
    """An optimizer that also notes the gradients."""

    def apply(self, gradients):
        self.gradients = list(gradients)
        super().apply(gradients)


def bilevel_of(network, use_running_statistics=False):
    return Bilevel(
        network,
        Noting(Adam(), logits_of(network), 0.01, 1e-3),
        Noting(Adam(), weights_of(network), 0.01, 5e-4),
        OBJECTIVE,
        OBJECTIVE,
        IMAGES_PER_IDENTITY,
        use_running_statistics=use_running_statistics,
    )


def search_step(network, use_running_statistics=True):
    """A step of a search, as a function of two batches: terms and gradients."""
    bilevel = bilevel_of(network, use_running_statistics)
    optimizers = bilevel.architecture_optimizer, bilevel.weight_optimizer

    def step(*batches):
        terms = bilevel.train_step(*batches, True)
        return terms, [optimizer.gradients for optimizer in optimizers]

    return step


def search_step_by_batch_statistics(network):
    """The same, whose architecture loss normalises by its batch."""
    return search_step(network, use_running_statistics=False)


def training_step(network):
    """A step of a training, as a function of two batches, of which it takes the first."""
    optimizer = Noting(Adam(), network.trainable_variables, 0.01, 5e-4)

    def step(data, _):
        terms = gradient_step(network, OBJECTIVE, optimizer, data, IMAGES_PER_IDENTITY)
        return terms, optimizer.gradients

    return step


def derived(dtype, synchronized):
    """A network whose first norm is separate and whose second is shared."""
    choices = {"stem": "separate", "layer1": "shared"}
    return supernet(
        dtype, synchronized, lambda site: ModalityNorm(choices[site], synchronized, name=site)
    )


@pytest.mark.parametrize(
    ("make_network", "make_step", "dtype", "steps"),
    [
        pytest.param(supernet, search_step, "float32", 1, marks=pytest.mark.slow),
        pytest.param(
            supernet, search_step_by_batch_statistics, "float32", 1, marks=pytest.mark.slow
        ),
        (derived, training_step, "float32", 1),
        pytest.param(supernet, search_step, "float64", 3, marks=pytest.mark.slow),
        pytest.param(
            supernet, search_step_by_batch_statistics, "float64", 3, marks=pytest.mark.slow
        ),
        pytest.param(derived, training_step, "float64", 3, marks=pytest.mark.slow),
    ],
)
def test_steps_of_two_replicas_are_those_of_one(
    two_replicas, make_network, make_step, dtype, steps
):
    """With synchronised batch norm: the same loss, gradients, weights, logits and running
    statistics, to within 1e-5 of the largest entry of each; every replica has the same.

    In float32 one replica is normalised by another kernel than two are. The batches are such that
    no gradient is so close to 0 that Adam, which divides it by its size, makes much of that."""
    one = make_network(dtype, synchronized=True)
    single = make_step(one)
    with two_replicas.scope():
        two = make_network(dtype, synchronized=True)
        step_in_replica = make_step(two)

    @tf.function(autograph=False)
    def distributed(*batches):
        return two_replicas.run(step_in_replica, args=batches)

    for number in range(steps):
        seeds = 13 + 2 * number, 14 + 2 * number
        expected = single(*(batch(seed, dtype=dtype) for seed in seeds))
        with two_replicas.scope():
            found = first_replica(distributed(*(shares(two_replicas, s, dtype) for s in seeds)))
        assert_close(tf.nest.flatten(found), tf.nest.flatten(expected), 1e-5)
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

    @tf.function(autograph=False)
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
    with pytest.raises(BadInput, match=r"^logical_devices=3: "):
        make_strategy(Devices(logical_devices=3))


def test_parts_of_a_cpu_belong_to_one_process():
    for strategy in ("auto", "mirrored"):
        assert Devices(strategy=strategy, logical_devices=2).logical_devices == 2
    for strategy in ("one_device", "multi_worker"):
        message = rf"^logical_devices=2 cuts up .* strategy={strategy} does not .*strategy=mirrored"
        with pytest.raises(BadInput, match=message):
            Devices(strategy=strategy, logical_devices=2)


def test_a_strategy_is_used_as_it_is(two_replicas, monkeypatch):
    """Whatever the environment says."""
    monkeypatch.setenv("TF_CONFIG", "{")
    assert make_strategy(two_replicas) is two_replicas
    assert os.environ["TF_CONFIG"] == "{"


def test_tensorflows_default_strategy_becomes_one_that_names_its_device():
    found = make_strategy(tf.distribute.get_strategy())
    assert found.extended.worker_devices[0].endswith("CPU:0")


def test_one_device():
    strategy = make_strategy(Devices(strategy="one_device"))
    assert strategy.num_replicas_in_sync == 1


@pytest.mark.parametrize(
    ("asked", "listed", "expected"),
    [
        ("auto", False, "CPU:0"),
        ("auto", True, "multi_worker"),
        ("multi_worker", True, "multi_worker"),
        ("mirrored", True, "mirrored"),
    ],
)
def test_which_strategy(monkeypatch, caplog, asked, listed, expected):
    """The processes of TF_CONFIG, where it lists any, unless this machine alone is asked for; its
    only device without any mirroring."""
    monkeypatch.setattr(distribution, "_mirrored", lambda: "mirrored")
    monkeypatch.setattr(tf.distribute, "OneDeviceStrategy", lambda device: device)
    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", lambda: "multi_worker")
    with socket.socket() as free:
        free.bind(("", 0))
        address = f"localhost:{free.getsockname()[1]}"
    cluster = {"cluster": {"worker": [address]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(cluster) if listed else "{}")
    caplog.set_level("INFO", "cmnas_tf")
    assert make_strategy(Devices(strategy=asked)) == expected
    waits = "worker 0 of 1; it begins when all are there" in caplog.messages
    assert waits == (expected == "multi_worker")
    # Every strategy of TensorFlow reads it, and takes the devices of processes that are not there.
    assert ("TF_CONFIG" in os.environ) == (expected == "multi_worker")


def test_a_port_that_is_taken_is_found_before_tensorflow_waits(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        address = f"localhost:{taken.getsockname()[1]}"
        cluster = {"cluster": {"worker": [address]}, "task": {"type": "worker", "index": 0}}
        monkeypatch.setenv("TF_CONFIG", json.dumps(cluster))
        with pytest.raises(BadInput, match=f"{address}, where it cannot listen"):
            make_strategy(Devices())


@pytest.mark.parametrize(
    ("p", "devices", "identities", "advice"),
    [
        (16, 3, 395, "give 15 or 18, or use 2 of the devices"),
        (16, 3, 17, "give 15, or use 2 of the devices"),
        (3, 2, 3, "give 2, or use 1 of the devices"),
        (16, 32, 395, "give 32, or use 16 of the devices"),
        (16, 32, 20, "there are 20 in all, or use 16 of the devices"),
        (15, 16, 15, "there are 15 in all, or use 15 of the devices"),
    ],
)
def test_a_batch_that_cannot_be_divided(p, devices, identities, advice):
    strategy = types.SimpleNamespace(num_replicas_in_sync=devices)
    with pytest.raises(BadInput) as error:
        check_division(strategy, Sampling(identities_per_batch=p), identities)
    assert f"identities_per_batch={p} cannot be divided over {devices} dev" in str(error.value)
    assert advice in str(error.value)


@pytest.mark.parametrize(("p", "devices"), [(16, 1), (16, 4), (2, 2)])
def test_a_batch_that_can_be_divided(p, devices):
    strategy = types.SimpleNamespace(num_replicas_in_sync=devices)
    check_division(strategy, Sampling(identities_per_batch=p), p)


@pytest.mark.parametrize("gpus", [False, True])
def test_each_replica_has_its_share_of_each_batch(two_replicas, monkeypatch, gpus):
    """Two steps, whose elements are dealt in turn; a GPU's are copied ahead."""
    monkeypatch.setattr(distribution, "on_gpus", lambda strategy: gpus)
    asked = []

    def batches(share):
        asked.append((share.first, share.count, share.of))
        return tf.data.Dataset.range(4).map(lambda number: {"n": number})

    found = [
        [int(part["n"]) for part in two_replicas.experimental_local_results(batch)]
        for batch in distributed_batches(two_replicas, batches, 1)
    ]
    assert found == [[0, 1], [2, 3]] and asked == [(0, 2, 2)]


def test_a_cpu_is_given_batches_without_an_iterator_over_devices(monkeypatch):
    alone = tf.distribute.OneDeviceStrategy("CPU:0")
    monkeypatch.setattr(alone, "distribute_datasets_from_function", None)
    given = distributed_batches(alone, lambda share: tf.data.Dataset.range(share.of), 1)
    assert [int(alone.experimental_local_results(batch)[0]) for batch in given] == [0]


def test_mapping_over_replicas_keeps_the_order(two_replicas):
    """Five batches of three, three and two rows, each on one of two devices."""
    with two_replicas.scope():
        factor = tf.Variable(2.0)
    devices = []

    def double(rows):
        devices.append(tf.distribute.get_replica_context().replica_id_in_sync_group)
        return factor * rows

    batches = [tf.fill([3 if n < 4 else 2, 2], float(n)) for n in range(5)]
    found = list(map_over_replicas(two_replicas)(double, batches))
    assert [part.numpy().tolist() for part in found] == [(2 * b).numpy().tolist() for b in batches]
    assert {int(tf.get_static_value(device)) for device in devices} == {0, 1}


def test_on_a_single_device_it_is_the_builtin_map():
    assert map_over_replicas(tf.distribute.OneDeviceStrategy("CPU:0")) is map
