"""One gradient step of a two-stream ResNet-50, in the forms that are compared."""

from collections.abc import Callable
from functools import partial

import tensorflow as tf
import tf_keras as keras

from benchmarks import batch
from benchmarks.naive_norm import NaiveMixedNorm
from cmnas_tf.architecture import Architecture
from cmnas_tf.data.pipeline import Batch
from cmnas_tf.devices.distribution import compiled_on, make_strategy
from cmnas_tf.layers import Softmax
from cmnas_tf.losses import Objective
from cmnas_tf.models import ReidNetwork, two_stream
from cmnas_tf.models.two_stream import network_with
from cmnas_tf.search_spaces import NormSpace
from cmnas_tf.searching.bilevel import Bilevel
from cmnas_tf.training.gradient_step import gradient_step
from cmnas_tf.training.optimizers import CoupledAdam, weight_optimizer
from cmnas_tf.training.recipe import WeightOptimizer

BACKBONE = "resnet50"
Run = Callable[[], None]


def derived() -> Run:
    """The training step of the all-separate network, which has no mixture."""
    return _training_step(_all_separate)


def derived_bfloat16() -> Run:
    """The same, computed in bfloat16."""
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    return derived()


def derived_deterministic() -> Run:
    """The same with ``--deterministic``: no operation without a deterministic kernel."""
    return _training_step(_all_separate, deterministic=True)


def derived_rewritten() -> Run:
    """The same with TensorFlow's arithmetic rewriting, which every run turns off."""
    run = derived()
    tf.config.optimizer.set_experimental_options({"arithmetic_optimization": True})
    return run


def supernet() -> Run:
    """The weights' step of the supernet."""
    return _training_step(lambda: NormSpace(BACKBONE).supernet(Softmax(), batch.CLASSES))


def naive_supernet() -> Run:
    """The weights' step of a supernet whose sites are three batch norms each."""
    return _training_step(
        lambda: network_with(NaiveMixedNorm, batch.CLASSES, BACKBONE, 1, 1.0, False)
    )


def search() -> Run:
    """A whole bilevel step: the logits on one batch, the weights on another, both normalised
    by the statistics of their batch."""
    strategy = make_strategy()
    with strategy.scope():
        space = NormSpace(BACKBONE)
        network = space.supernet(Softmax(), batch.CLASSES)
        logits = list(space.logits(network).values())
        bilevel = Bilevel(
            network,
            CoupledAdam(logits, 1e-3, 1e-3),
            weight_optimizer(network, WeightOptimizer(), besides=logits),
            Objective(),
            Objective(),
            batch.IMAGES_PER_IDENTITY,
        )
    one, other, run = _batch(), _batch(), compiled_on(strategy)
    return lambda: _finish(bilevel.train_step(one, other, True, run))


def _training_step(make_network: Callable[[], ReidNetwork], deterministic: bool = False) -> Run:
    strategy = make_strategy(deterministic=deterministic)
    with strategy.scope():
        network = make_network()
        logits = [v for v in network.trainable_variables if "architecture_logits" in v.name]
        optimizer = weight_optimizer(network, WeightOptimizer(), besides=logits)
    objective, one = Objective(), _batch()

    step = partial(gradient_step, network, objective, optimizer)
    run = compiled_on(strategy)
    return lambda: _finish(run(step, one, batch.IMAGES_PER_IDENTITY))


def _all_separate() -> ReidNetwork:
    return two_stream(Architecture.separate(BACKBONE), batch.CLASSES, BACKBONE)


def _batch() -> Batch:
    images = {modality: tf.constant(part) for modality, part in batch.images().items()}
    return Batch(images, tf.constant(batch.labels()))


def _finish(terms) -> None:
    tf.nest.map_structure(float, terms)  # waits for the numbers
