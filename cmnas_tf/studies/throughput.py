"""How long a step of a study's searches and of its trainings takes, on this machine."""

import time
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from cmnas_tf.architecture import Architecture
from cmnas_tf.data.pipeline import Batch
from cmnas_tf.devices import xla
from cmnas_tf.devices.distribution import check_division, compiled_on, make_strategy
from cmnas_tf.models.latency import device_name
from cmnas_tf.models.specification import Specification
from cmnas_tf.searching import Darts
from cmnas_tf.studies.plan import Searching, Training, of_part
from cmnas_tf.training.recipe import WeightTraining
from cmnas_tf.training.trainer import Trainer

_WARM_UP = 2  # the first compiles, the second still asks for memory


class Throughput(NamedTuple):
    """Measured on pixels that lie ready: reading images is not counted.

    Attributes:
      search_seconds: of a first-order step that moves the architecture and the weights; median.
      train_seconds: of a training step; median.
    """

    search_seconds: float
    train_seconds: float
    device: str


def measure(
    searching: Searching,
    training: Training,
    identities: int,
    modalities: tuple[str, ...],
    steps: int,
) -> Throughput:
    """Takes steps of a search by DARTS, and of training an architecture drawn from its space.

    Args:
      searching: of the study, but for the weights it starts from and its order.
      training: of the study, but for the weights it starts from.
      steps: of each that count.

    Raises:
      BadInput: a batch cannot be dealt out to the devices.
    """
    darts = searching.algorithm.with_values(algorithm="darts", order="first").make()
    assert isinstance(darts, Darts)
    strategies = {}
    for part, how, weights in (
        ("search", searching.how, darts),
        ("train", training.how, training.recipe),
    ):
        strategies[part] = make_strategy(how.devices, weights.numerics.deterministic)
        with of_part(part):
            check_division(strategies[part], weights.sampling, identities)
    only = searching.modality.modality
    searched = modalities if only == "all" else (only,)
    search_seconds, architecture = _of_search(
        strategies["search"], searching, darts.for_modalities(searched), identities, searched, steps
    )
    size, network = training.recipe.size, training.network
    specification = Specification(
        architecture,
        identities,
        size.image_height,
        size.image_width,
        network.last_stride,
        network.width,
        modalities,
        network.parts,
    )
    recipe = training.recipe.for_modalities(modalities)
    train_seconds = _of_training(strategies["train"], recipe, specification, steps)
    return Throughput(search_seconds, train_seconds, device_name())


def _of_search(
    strategy: tf.distribute.Strategy,
    searching: Searching,
    darts: Darts,
    identities: int,
    modalities: tuple[str, ...],
    steps: int,
) -> tuple[float, Architecture]:
    """Seconds of a step, and an architecture drawn from the space."""
    space = searching.space.make()
    bilevel, _ = darts.begin(space, identities, strategy, seed=0)
    by_xla = xla.compiles(darts.numerics.xla, strategy, darts.numerics.deterministic)
    batch, run = _batch(strategy, darts, modalities), compiled_on(strategy, by_xla)
    seconds = _seconds(strategy, lambda: bilevel.train_step(batch, batch, True, run), steps)
    return seconds, space.random(seed=0)


def _of_training(
    strategy: tf.distribute.Strategy,
    recipe: WeightTraining,
    specification: Specification,
    steps: int,
) -> float:
    """Seconds of a step."""
    trainer = Trainer.begin(recipe, strategy, specification, seed=0, average_decay=0.9)
    batch = _batch(strategy, recipe, specification.modalities)
    return _seconds(strategy, lambda: trainer.train_step(batch), steps)


def _batch(
    strategy: tf.distribute.Strategy, training: WeightTraining, modalities: tuple[str, ...]
) -> Batch:
    """A batch of noise on the devices, each with its share."""
    shape, k = training.size, training.sampling.images_per_identity
    identities = training.sampling.identities_per_batch // strategy.num_replicas_in_sync

    def share(context: tf.distribute.InputContext) -> Batch:
        random = np.random.default_rng(context.replica_id_in_sync_group)
        size = (identities * k, shape.image_height, shape.image_width, 3)
        images = {m: tf.constant(random.standard_normal(size, np.float32)) for m in modalities}
        return Batch(images, tf.constant(np.repeat(np.arange(identities, dtype=np.int32), k)))

    return strategy.experimental_distribute_values_from_function(share)


def _seconds(strategy: tf.distribute.Strategy, step: Callable[[], object], number: int) -> float:
    """The median of steps, each until its numbers have arrived."""
    seconds = []
    with strategy.scope():
        for _ in range(_WARM_UP + number):
            start = time.perf_counter()
            tf.nest.map_structure(float, step())
            seconds.append(time.perf_counter() - start)
    return median(seconds[_WARM_UP:])
