"""A network in training: one step of it."""

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf.architecture import Architecture
from cmnas_tf.data.pipeline import Batch
from cmnas_tf.data.sampling import Sampling
from cmnas_tf.losses import Objective
from cmnas_tf.modality import MODALITIES
from cmnas_tf.models.specification import Specification
from cmnas_tf.training.gradient_step import gradient_step
from cmnas_tf.training.loss_scale import LossScaled
from cmnas_tf.training.optimizers import Schedule
from cmnas_tf.training.recipe import WeightOptimizer, WeightTraining
from cmnas_tf.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_block")

TRAINING = WeightTraining(
    sampling=Sampling(identities_per_batch=3, images_per_identity=2),
    optimizer=WeightOptimizer(optimizer="sgd"),
)
NETWORK = Specification(Architecture.separate("resnet18"), 5, 32, 16, width_factor=1 / 16)


def begin(training=TRAINING, seed=0, **how):
    strategy = tf.distribute.OneDeviceStrategy("CPU:0")
    return Trainer.begin(training, strategy, NETWORK, seed, **how)


def batch():
    random = np.random.default_rng(0)
    images = {
        m: tf.constant(random.standard_normal((6, 32, 16, 3), np.float32)) for m in MODALITIES
    }
    return Batch(images, tf.constant([0, 0, 1, 1, 2, 2]))


def test_a_step_descends_and_the_average_follows():
    """From the same seed: what ``gradient_step`` does, and a quarter of it for the average."""
    trainer, alike = begin(average_decay=0.75), begin()
    before = [weight.numpy() for weight in trainer.network.weights]
    terms = trainer.train_step(batch())
    expected = gradient_step(alike.network, Objective(), alike.optimizer, batch(), 2)
    assert set(terms) == {"weights"} and set(terms["weights"]) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(terms["weights"][name], value, rtol=1e-5)
    moved = 0
    for old, weight, same in zip(
        before, trainer.network.weights, alike.network.weights, strict=True
    ):
        np.testing.assert_allclose(weight, same, rtol=1e-4, atol=1e-5)
        moved += not np.array_equal(weight, old)
    assert moved > len(before) / 2
    for path, weight in trainer.network.get_weight_paths().items():
        index = next(i for i, other in enumerate(trainer.network.weights) if other is weight)
        average = 0.75 * before[index] + 0.25 * weight.numpy()
        np.testing.assert_allclose(trainer.average.variables[path], average, rtol=1e-5, atol=1e-7)


def graph_and_compiled(**numbers):
    return [
        begin(TRAINING.with_values(**numbers, xla=xla), average_decay=0.5) for xla in ("off", "on")
    ]


@pytest.mark.parametrize("recompute", [False, True])
def test_a_step_that_xla_compiles_is_the_same_step(recompute):
    """Two of them, since the second shows what the first left in the optimizer and the average."""
    graph, compiled = graph_and_compiled(recompute=recompute)
    for _ in range(2):
        expected, terms = (trainer.train_step(batch())["weights"] for trainer in (graph, compiled))
        assert set(terms) == set(expected)
        for name, value in expected.items():
            np.testing.assert_allclose(terms[name], value, rtol=1e-4, atol=1e-5)
    for part, variables in graph.state().items():
        for path, variable in variables.items():
            other = compiled.state()[part][path]
            np.testing.assert_allclose(other, variable, rtol=1e-3, atol=1e-4, err_msg=path)


@pytest.mark.parametrize("precision, tolerance", [("bfloat16", 1e-3), ("float16", 8 * 2**-10)])
def test_compiled_in_half_precision_it_keeps_the_graphs_digits(precision, tolerance):
    """Within a kernel XLA keeps float32, so a gradient that float16 cannot hold may come through
    and the loss scale fall later: the second step is another one. Where the processor computes in
    float16 (AVX512_FP16), XLA of TensorFlow 2.20 lets it: up to 4.4e-3 apart were seen, a few
    roundings of 2^-10, where 2.15 on the same processor is 1.3e-3 apart."""
    graph, compiled = graph_and_compiled(precision=precision)
    expected, terms = (trainer.train_step(batch())["weights"] for trainer in (graph, compiled))
    for name, value in expected.items():
        np.testing.assert_allclose(terms[name], value, rtol=tolerance, atol=1e-4)
    assert np.isfinite(list(compiled.train_step(batch())["weights"].values())).all()


def test_it_begins_with_the_weights_of_its_seed_or_with_those_it_is_given():
    """The average begins with the latter, too."""
    first, again, other = (begin(seed=seed).network.get_weights() for seed in (1, 1, 2))
    for one, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, same)
    assert any((one != different).any() for one, different in zip(first, other, strict=True))

    def start(network):
        for variable in network.weights:
            variable.assign(tf.fill(variable.shape, 0.5))

    given = begin(start_from=start)
    for part in ("network", "average"):
        for path, variable in given.state()[part].items():
            assert (variable.numpy() == 0.5).all(), path


def test_its_options_reach_the_network_and_the_schedule():
    """After two steps, an epoch, of two epochs of warm-up: 0.01 + 0.99 / 2 of the learning rate."""
    numbers = {"recompute": True, "batch_norm": "synchronized", "precision": "float16"}
    rates = {"learning_rate_warmup": 2.0, "backbone_learning_rate": 0.1}
    plain, other = begin(), begin(TRAINING.with_values(**numbers, **rates))
    assert [t.network.backbone.rematerialize for t in (plain, other)] == [False, True]
    assert [isinstance(t.optimizer, LossScaled) for t in (plain, other)] == [False, True]
    assert [t.network.head.neck.synchronized for t in (plain, other)] == [False, True]
    schedule = Schedule(other.training.optimizer, steps_per_epoch=2, epochs=4)
    other.optimizer.set_factor(schedule.factor(2))
    np.testing.assert_allclose(float(other.optimizer.rates[0]), 0.505 * 0.1, rtol=1e-6)
