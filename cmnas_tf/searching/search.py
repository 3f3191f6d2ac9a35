"""A search, from the images to the architecture, readable from top to bottom."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import tensorflow as tf

from cmnas_tf.architecture import Architecture
from cmnas_tf.data.index import Dataset
from cmnas_tf.data.pipeline import naming_unreadable
from cmnas_tf.data.split import split_train
from cmnas_tf.devices.devices import Devices
from cmnas_tf.devices.distribution import check_division, make_strategy
from cmnas_tf.devices.threads import use_threads
from cmnas_tf.devices.workers import check_agreement, is_chief, naming_lost_workers
from cmnas_tf.files import write_json
from cmnas_tf.models.cost import Cost, cost_of, latency_of
from cmnas_tf.options import described
from cmnas_tf.runs.how_it_runs import Checkpointing
from cmnas_tf.runs.provenance import provenance
from cmnas_tf.runs.run_folder import ANYTHING, Description, RunFolder
from cmnas_tf.search_spaces import SPACES, SearchSpace
from cmnas_tf.searching.algorithm import ALGORITHMS, SearchAlgorithm, Task
from cmnas_tf.searching.darts import Darts
from cmnas_tf.searching.selection import of_selection
from cmnas_tf.training.inputs import TrainingImages


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
      architecture: its provenance says where it comes from and what its network costs.
    """

    architecture: Architecture
    space: SearchSpace
    run: RunFolder

    @property
    def probabilities(self) -> Mapping[str, float]:
        """How strongly the search was for each of its possible decisions, 0..1."""
        return self.space.probabilities(self.architecture)

    @property
    def cost(self) -> Cost:
        """Parameters and multiply-adds of the network."""
        return Cost(**self.architecture.provenance["cost"])

    def __str__(self) -> str:
        described = self.space.describe(self.architecture)
        return f"{described}\n{of_selection(self.architecture)}{self.cost}"


@naming_lost_workers()
def find_architecture(
    dataset: Dataset,
    space: SearchSpace,
    algorithm: SearchAlgorithm | None = None,
    *,
    run_dir: str | os.PathLike[str] | None = None,
    seed: int = 0,
    threads: int = 0,
    devices: Devices | tf.distribute.Strategy | None = None,
    checkpointing: Checkpointing | None = None,
    progress: bool = True,
) -> Found:
    """Searches a space for the best architecture, or resumes the search.

    Args:
      dataset: on whose training images it is searched.
      space: of architectures.
      algorithm: how; DARTS by default.
      run_dir: folder of the run, which then holds the architecture, the split of the images,
        checkpoints and TensorBoard's logs; None keeps it in a temporary one.
      seed: of all randomness.
      threads: that share an operation on the CPU, see :class:`Threads`.
      devices: what computes it.
      checkpointing: when checkpoints are written.
      progress: whether to show a bar.

    Raises:
      BadInput: data, space and algorithm do not fit each other, or the folder holds another run.
      TrainingDiverged: a loss is not finite; the last checkpoint is kept.
      Stopped: SIGINT, SIGTERM or SIGHUP asked for it; a checkpoint was written.
    """
    modalities = dataset.modalities
    algorithm = (algorithm or Darts()).for_modalities(modalities)
    run = RunFolder(run_dir)
    threads = use_threads(threads, run.threads())
    strategy = make_strategy(devices, algorithm.numerics.deterministic)
    space.check(modalities)
    images = TrainingImages(dataset, algorithm, seed)
    split = split_train(dataset.train, algorithm.split, seed)
    settings = {
        "dataset": dataset.layouts,
        "trial": dataset.trial,
        "modality": dataset.modality,
        "search_space": SPACES.name_of(type(space)),
        "algorithm": ALGORITHMS.name_of(type(algorithm)),
        **described([space, algorithm]),
        "seed": seed,
    }
    count = strategy.num_replicas_in_sync
    task = Task(
        space,
        images,
        split,
        strategy,
        run,
        {**provenance(settings), "devices": count},
        checkpointing or Checkpointing(),
        progress,
        is_chief(strategy),
    )
    algorithm.check(task)
    check_division(strategy, algorithm.sampling, task.num_classes)
    check_agreement(strategy, lambda: {**settings, "the images": dataset.fingerprint})

    description = Description("search", dataset.fingerprint, settings, count, threads=threads)
    options = [*space.options(), *algorithm.options()]
    with (
        run.opened(description, options, _others(), task.writes),
        naming_unreadable(images.source(dataset.train)),
    ):
        if task.writes:
            split.save(run.split)
        found = _with_cost(algorithm.search(task), task)
        if task.writes:
            found.save(run.architecture)
            space.save(found, run.path)
    return Found(found, space, run)


def _with_cost(found: Architecture, task: Task) -> Architecture:
    """The architecture, whose provenance says what its network costs.

    How long an image takes here is measured once and written beside it, since no two measurements
    are alike.
    """
    specification = task.specification(found)
    network, size = specification.build(), (specification.height, specification.width)
    cost = cost_of(network, *size)
    if task.writes and not task.run.latency.exists():
        write_json(task.run.latency, latency_of(network, *size)._asdict())
    return replace(found, provenance={**found.provenance, "cost": cost._asdict()})


def _others() -> dict[str, Any]:
    """What earlier versions recorded besides, or did not yet record.

    They recorded the options of all spaces, and had one algorithm; that images were left out, the
    fingerprint tells.
    """
    registered = [*SPACES.values(), *ALGORITHMS.values()]
    defaults = {o.name: o.recorded(o.default) for made in registered for o in made.options()}
    return {
        **defaults,
        "algorithm": "darts",
        **dict.fromkeys(("backbone", "cells", "skip_unreadable"), ANYTHING),
    }
