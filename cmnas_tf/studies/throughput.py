"""How long a step of a study's searches and of its trainings takes, on this machine."""

import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from cmnas_tf import settings
from cmnas_tf.architecture import Architecture
from cmnas_tf.data.pipeline import Batch
from cmnas_tf.devices.distribution import check_division, compiled_on, make_strategy
from cmnas_tf.models.latency import device_name
from cmnas_tf.models.specification import Specification
from cmnas_tf.searching.search_step import make_bilevel, objectives_of
from cmnas_tf.searching.spaces import search_space
from cmnas_tf.training.objectives import weight_objective
from cmnas_tf.training.trainer import Trainee

_WARM_UP = 2  # the first compiles, the second still asks for memory
_RANDOM_WEIGHTS = settings.Start()


class Pace(NamedTuple):
    """Measured on pixels that lie ready: reading images is not counted.

    Attributes:
      search_seconds: of a first-order step that moves the architecture and the weights; median.
      train_seconds: of a training step; median.
      device: that computed.
    """

    search_seconds: float
    train_seconds: float
    device: str


def measure(
    search: settings.Search,
    train: settings.Train,
    identities: int,
    modalities: tuple[str, ...],
    steps: int,
) -> Pace:
    """Takes steps of a search, and of training an architecture drawn from its space.

    Args:
      search: settings of the command, but for the weights it starts from and its order.
      train: settings of the command, but for the weights it starts from.
      identities: in training.
      modalities: of the training images.
      steps: of each that count.

    Raises:
      BadInput: a batch cannot be dealt out to the devices.
    """
    strategies = []
    for command in (search, train):
        strategies.append(make_strategy(command.devices, command.devices.deterministic))
        check_division(strategies[-1], command.batch, identities)
    only = search.schedule.modality
    searched = modalities if only == "all" else (only,)
    search_seconds, architecture = _of_search(strategies[0], search, identities, searched, steps)
    specification = Specification.of(
        architecture, identities, train.input, train.network, modalities
    )
    train_seconds = _of_training(strategies[1], train, specification, steps)
    return Pace(search_seconds, train_seconds, device_name())


def _of_search(
    strategy: tf.distribute.Strategy,
    search: settings.Search,
    identities: int,
    modalities: tuple[str, ...],
    steps: int,
) -> tuple[float, Architecture]:
    """Seconds of a step, and an architecture drawn from the space."""
    schedule = replace(search.schedule, order="first")
    search = replace(search, start=_RANDOM_WEIGHTS, schedule=schedule)
    with strategy.scope():
        space = search_space(search)
    bilevel = make_bilevel(search, strategy, space, identities, objectives_of(search))
    batch, run = _batch(strategy, search, modalities), compiled_on(strategy)
    seconds = _seconds(strategy, lambda: bilevel.train_step(batch, batch, True, run), steps)
    random = np.random.default_rng(0)
    for logits in space.logits(bilevel.network).values():
        logits.assign(random.standard_normal(logits.shape))
    return seconds, space.derive(bilevel.network, {})


def _of_training(
    strategy: tf.distribute.Strategy,
    train: settings.Train,
    specification: Specification,
    steps: int,
) -> float:
    """Seconds of a step."""
    train = replace(train, start=_RANDOM_WEIGHTS)
    trainee = Trainee.begin(train, strategy, specification, weight_objective(train.loss))
    batch = _batch(strategy, train, specification.modalities)
    return _seconds(strategy, lambda: trainee.train_step(batch), steps)


def _batch(
    strategy: tf.distribute.Strategy,
    command: settings.Search | settings.Train,
    modalities: tuple[str, ...],
) -> Batch:
    """A batch of noise on the devices, each with its share."""
    shape, k = command.input, command.batch.images_per_identity
    identities = command.batch.identities_per_batch // strategy.num_replicas_in_sync

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
