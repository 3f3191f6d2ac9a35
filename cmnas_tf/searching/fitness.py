"""How good an architecture is, without training it, as a supernet that contains it tells."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import tensorflow as tf

from cmnas_tf.architecture import Architecture
from cmnas_tf.data.index import Dataset
from cmnas_tf.data.layouts import LAYOUTS
from cmnas_tf.data.pipeline import Share, test_batches
from cmnas_tf.data.split import split_train
from cmnas_tf.devices.devices import Devices
from cmnas_tf.devices.distribution import make_strategy
from cmnas_tf.errors import BadInput
from cmnas_tf.files import write_json
from cmnas_tf.models import ReidNetwork
from cmnas_tf.reading import read_json
from cmnas_tf.retrieval.embed import BATCH, embed_graph
from cmnas_tf.retrieval.fitness import Fitness, few_of_each
from cmnas_tf.runs.how_it_runs import Checkpointing
from cmnas_tf.runs.run_folder import RunFolder
from cmnas_tf.search_spaces import SearchSpace
from cmnas_tf.searching.algorithm import FITNESS_STREAM, SearchAlgorithm, Task
from cmnas_tf.searching.supernet_search import SupernetSearch
from cmnas_tf.training.inputs import TrainingImages

_MOMENTUM = 0.9  # of every batch norm
_STATISTICS_BATCHES = 10  # our choice
_FITNESS = {"mean_ap": float, "rank1": float, "precisions": [float], "queries": [int]}


class SupernetFitness:
    """The fitness of any architecture that a trained supernet contains; measured once, and kept.

    The logits are set so that the supernet computes what the architecture does. Running statistics
    are those of the whole mixture, which the chosen norms never see alone, so they are taken anew,
    from batches that the weights learned from: as one begins at 0 and divides by what the batches
    weigh together, nothing of the mixture's is left. All architectures share one graph, and images
    that are read once.

    Args:
      task: of the search; what was measured is in the folder of its run, and kept there.
      supernet: with the weights of its last step; logits and statistics are changed.
    """

    def __init__(self, task: Task, supernet: ReidNetwork):
        self.space, self.supernet, self._task = task.space, supernet, task
        self.held_out = few_of_each(task.split.architecture)
        self._batches = {
            modality: test_batches(task.images.source(part), BATCH).cache()
            for modality in task.images.dataset.modalities
            if len(part := self.held_out.of_modality(modality))
        }
        named = supernet.get_weight_paths().items()
        self._moving = [v for path, v in named if path.split(".")[-1].startswith("moving_")]
        self.measured: dict[Architecture, Fitness] = {}
        self._mixtures: dict[tuple[str, ...], Fitness] = {}
        if task.run.fitness.is_file():
            form, advice = [{"fitness": _FITNESS}], "Remove it to measure again."
            for found in read_json(task.run.fitness, form, "a list of fitnesses", advice):
                fitness = Fitness.from_json(found["fitness"])
                if "mixture" in found:
                    self._mixtures[tuple(found["mixture"])] = fitness
                else:
                    self.measured[Architecture.from_json(found["architecture"])] = fitness

    @cached_property
    def _statistics_from(self) -> list[dict[str, tf.Tensor]]:
        images = self._task.images
        sampler = images.sampler(self._task.split.weights, FITNESS_STREAM)
        batches = images.batches(sampler, 0, _STATISTICS_BATCHES, Share())
        return [batch.images for batch in batches]

    def __call__(self, architecture: Architecture) -> Fitness:
        """The fitness of an architecture of the space.

        Raises:
          BadInput: an embedding is not finite, or nobody can be ranked.
        """
        architecture = replace(architecture, provenance={})
        if architecture not in self.measured:
            self.space.select(self.supernet, architecture)
            self.measured[architecture] = self._measure()
            self._keep()
        return self.measured[architecture]

    def of_mixture(self, fixed: Sequence[str]) -> Fitness:
        """The fitness of what the supernet computes with its logits as they are.

        Args:
          fixed: what tells these logits from those that training ended with.
        """
        key = tuple(fixed)
        if key not in self._mixtures:
            self._mixtures[key] = self._measure()
            self._keep()
        return self._mixtures[key]

    def _measure(self) -> Fitness:
        for variable in self._moving:
            variable.assign(tf.zeros_like(variable))
        for images in self._statistics_from:
            self._move_statistics(images)
        for variable in self._moving:
            variable.assign(variable / (1.0 - _MOMENTUM**_STATISTICS_BATCHES))
        embeddings = np.empty((len(self.held_out), self.supernet.embedding_size), np.float32)
        for modality, batches in self._batches.items():
            rows = self.held_out.modalities == modality
            found = [embed_graph(self.supernet, modality, False, batch) for batch in batches]
            embeddings[rows] = tf.concat(found, axis=0)
        rule = LAYOUTS[self._task.images.dataset.layout].protocol.rule
        return Fitness.of(embeddings, self.held_out, rule)

    @tf.function(autograph=False)
    def _move_statistics(self, images: dict[str, tf.Tensor]) -> None:
        self.supernet(images, training=True)

    def _keep(self) -> None:
        if self._task.writes:
            found = [
                *(
                    {"architecture": a.to_json(), "fitness": f.to_json()}
                    for a, f in self.measured.items()
                ),
                *({"mixture": key, "fitness": f.to_json()} for key, f in self._mixtures.items()),
            ]
            write_json(self._task.run.fitness, found)


def supernet_scores(
    dataset: Dataset,
    space: SearchSpace,
    algorithm: SearchAlgorithm,
    architectures: Mapping[str, Architecture],
    run: RunFolder,
    seed: int,
    devices: Devices | tf.distribute.Strategy | None = None,
) -> dict[str, float | None]:
    """What the supernet of a finished search says of architectures.

    Args:
      dataset, space, algorithm, seed: of the search.
      run: of the search; its newest checkpoint is taken, and what it measured.

    Returns:
      By name the mean average precision, 0..1; None for an architecture that the supernet does not
      contain. Empty for an algorithm without a supernet.
    """
    newest = run.newest()
    if newest is None:
        raise BadInput(f"{run.path} holds no checkpoint of a search.")
    images = TrainingImages(dataset, algorithm, seed)
    if not isinstance(algorithm, SupernetSearch):
        return {}
    split = split_train(dataset.train, algorithm.split, seed)
    strategy = make_strategy(devices, algorithm.numerics.deterministic)
    bilevel, _ = algorithm.begin(space, len(images.pids), strategy, seed)
    newest.restore(bilevel.state())
    task = Task(space, images, split, strategy, run, {}, Checkpointing(), False, writes=False)
    fitness = SupernetFitness(task, bilevel.network)
    return {
        name: fitness(architecture).mean_ap if space.contains(architecture) else None
        for name, architecture in architectures.items()
    }
