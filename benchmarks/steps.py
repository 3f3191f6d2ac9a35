"""One gradient step of a two-stream ResNet-50, in the forms that are compared."""

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import tensorflow as tf
import tf_keras as keras

from benchmarks import batch, kernels
from benchmarks.naive_norm import NaiveMixedNorm
from benchmarks.shifted_pool import shifted_max_pool
from benchmarks.worker import Run
from cmnas_tf.architecture import Architecture
from cmnas_tf.data.pipeline import Batch
from cmnas_tf.devices.distribution import compiled_on, first_replica, make_strategy
from cmnas_tf.layers import Softmax
from cmnas_tf.losses import Objective
from cmnas_tf.modality import VISIBLE
from cmnas_tf.models import ReidNetwork, resnet, two_stream
from cmnas_tf.models.precision import POLICIES
from cmnas_tf.models.two_stream import network_with
from cmnas_tf.retrieval.embed import embed_compiled, embed_graph
from cmnas_tf.search_spaces import NormSpace
from cmnas_tf.searching.bilevel import Bilevel
from cmnas_tf.training.gradient_step import gradient_step
from cmnas_tf.training.loss_scale import scaled_for
from cmnas_tf.training.moving_average import MovingAverage
from cmnas_tf.training.optimizers import Adam, Coupled, weight_optimizer
from cmnas_tf.training.recipe import WeightOptimizer


def derived(**how: str) -> Run:
    """The training step of the all-separate network, which has no mixture.

    Args:
      how: ``precision``; ``xla="on"``; ``deterministic="yes"`` for no operation without a
        deterministic kernel; ``recompute="yes"`` for less memory; ``rewritten="yes"`` with
        TensorFlow's arithmetic rewriting, which every run turns off; ``pool="shifted"`` for another
        gradient of the max pooling; ``xla_flags``, separated by spaces, for XLA besides.
    """
    return _training_step(_all_separate, **how)


def supernet(**how: str) -> Run:
    """The weights' step of the supernet."""
    return _training_step(
        lambda: NormSpace(batch.BACKBONE).supernet(Softmax(), batch.CLASSES), **how
    )


def naive_supernet(**how: str) -> Run:
    """The weights' step of a supernet whose sites are three batch norms each."""
    return _training_step(
        lambda: network_with(NaiveMixedNorm, batch.CLASSES, batch.BACKBONE, 1, 1.0, False), **how
    )


def train(precision: str = "float32", xla: str = "off") -> Run:
    """The step of the train command: with the moving average of all variables."""
    keras.mixed_precision.set_global_policy(POLICIES[precision])
    strategy = make_strategy()
    with strategy.scope():
        network = _all_separate()
        optimizer = scaled_for(precision, weight_optimizer(network, WeightOptimizer()))
        average = MovingAverage(network.get_weight_paths(), 0.997)
    step = partial(gradient_step, network, Objective(), optimizer)
    one = _batch()

    @tf.function(autograph=False, jit_compile=xla == "on" or None)
    def train_step():
        terms = strategy.run(step, (one, batch.IMAGES_PER_IDENTITY))
        average.update()
        return first_replica(terms)

    def run() -> Callable[[], None]:
        with strategy.scope():
            return _waiting(train_step())

    return run


def search(precision: str = "float32", xla: str = "off") -> Run:
    """A whole bilevel step: the logits on one batch, the weights on another, both normalised
    by the statistics of their batch."""
    keras.mixed_precision.set_global_policy(POLICIES[precision])
    strategy = make_strategy()
    with strategy.scope():
        space = NormSpace(batch.BACKBONE)
        network = space.supernet(Softmax(), batch.CLASSES)
        logits = list(space.logits(network).values())
        bilevel = Bilevel(
            network,
            Coupled(Adam(), logits, 1e-3, 1e-3),
            weight_optimizer(network, WeightOptimizer(), besides=logits),
            Objective(),
            Objective(),
            batch.IMAGES_PER_IDENTITY,
        )
    one, other, on_devices = _batch(), _batch(), compiled_on(strategy, xla == "on")
    return lambda: _waiting(bilevel.train_step(one, other, True, on_devices))


def start() -> Run:
    """What the first bilevel step takes beyond a second one: network and graphs are made for it.

    In processor seconds, of all threads, which hardly depend on what else the machine does.
    """

    def run() -> float:
        begin = time.process_time()
        step = search()
        step()()
        first = time.process_time()
        step()()
        return 2 * first - begin - time.process_time()

    return run


def embed(precision: str = "float32", xla: str = "off") -> Run:
    """A batch of one modality through the derived network."""
    keras.mixed_precision.set_global_policy(POLICIES[precision])
    make_strategy()
    network = _all_separate()
    pixels = tf.random.normal([batch.IMAGES, batch.HEIGHT, batch.WIDTH, 3])
    if xla == "on":
        return lambda: _waiting(embed_compiled(network, VISIBLE, False, batch.IMAGES, pixels))
    return lambda: _waiting(embed_graph(network, VISIBLE, False, pixels))


def profile(run: Run, count: int) -> dict[str, Any]:
    """What TensorFlow's profiler saw of ``count`` runs, see :func:`kernels.of_tensorflow`."""
    return kernels.of_tensorflow(run, count)


def memory() -> dict[str, Any]:
    """The most of the GPU's memory that was in use, in bytes; nothing without one."""
    if not tf.config.list_physical_devices("GPU"):
        return {}
    return {"gpu_bytes": tf.config.experimental.get_memory_info("GPU:0")["peak"]}


def _training_step(
    make_network: Callable[[], ReidNetwork],
    precision: str = "float32",
    xla: str = "off",
    deterministic: str = "",
    recompute: str = "",
    rewritten: str = "",
    pool: str = "",
    xla_flags: str = "",
) -> Run:
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {xla_flags}".strip()
    if pool:
        resnet.max_pool_3x3 = shifted_max_pool
    keras.mixed_precision.set_global_policy(POLICIES[precision])
    strategy = make_strategy(deterministic=bool(deterministic))
    with strategy.scope():
        network = make_network()
        network.backbone.rematerialize = bool(recompute)
        logits = [v for v in network.trainable_variables if "architecture_logits" in v.name]
        of_weights = weight_optimizer(network, WeightOptimizer(), besides=logits)
        optimizer = scaled_for(precision, of_weights)
    if rewritten:
        tf.config.optimizer.set_experimental_options({"arithmetic_optimization": True})
    step = partial(gradient_step, network, Objective(), optimizer)
    one, on_devices = _batch(), compiled_on(strategy, xla == "on")
    return lambda: _waiting(on_devices(step, one, batch.IMAGES_PER_IDENTITY))


def _all_separate() -> ReidNetwork:
    return two_stream(Architecture.separate(batch.BACKBONE), batch.CLASSES, batch.BACKBONE)


def _batch() -> Batch:
    images = {modality: tf.constant(part) for modality, part in batch.images().items()}
    return Batch(images, tf.constant(batch.labels()))


def _waiting(computed: Any) -> Callable[[], None]:
    """Waits for the numbers."""

    def wait() -> None:
        tf.nest.map_structure(lambda tensor: tensor.numpy(), computed)

    return wait
