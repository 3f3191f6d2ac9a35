"""What a search algorithm is, what it is given, and the registry of algorithms."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from cmnas_tf.architecture import Architecture
from cmnas_tf.listed_options import OneOf
from cmnas_tf.options import Option, Options, option
from cmnas_tf.registry import Registry
from cmnas_tf.runs.how_it_runs import Checkpointing
from cmnas_tf.runs.run_folder import RunFolder
from cmnas_tf.search_spaces import SearchSpace
from cmnas_tf.training.recipe import WeightTraining

if TYPE_CHECKING:
    import tensorflow as tf

    from cmnas_tf.data.sampling import IdentitySampler
    from cmnas_tf.data.split import Split
    from cmnas_tf.layers import Relaxation
    from cmnas_tf.models.specification import Specification
    from cmnas_tf.training.inputs import TrainingImages

ARCHITECTURE_STREAM, WEIGHT_STREAM, FITNESS_STREAM = 1, 2, 3


@dataclass(frozen=True)
class Task:
    """What a search is about: everything but the algorithm."""

    space: SearchSpace  # what is searched
    images: "TrainingImages"  # the training images, and how batches are made of them
    split: "Split"  # which of them the weights learn from, and which the architecture
    strategy: "tf.distribute.Strategy"
    run: RunFolder  # the folder of the run, open
    origin: dict[str, Any]  # settings, versions, commit and devices; JSON-ready
    checkpointing: Checkpointing
    progress: bool
    writes: bool  # whether this process is the one that writes

    @property
    def num_classes(self) -> int:
        """Training identities."""
        return len(self.images.pids)

    def specification(self, architecture: Architecture) -> "Specification":
        """How the network of an architecture of the space is built."""
        from cmnas_tf.models.specification import Specification

        space, size = self.space, self.images.training.size
        return Specification(
            architecture,
            self.num_classes,
            size.image_height,
            size.image_width,
            space.last_stride,
            space.width,
            self.images.dataset.modalities,
            space.parts,
        )

    @cached_property
    def architecture_batches(self) -> "IdentitySampler":
        """What the architecture learns from."""
        return self.images.sampler(self.split.architecture, ARCHITECTURE_STREAM)

    @cached_property
    def weight_batches(self) -> "IdentitySampler":
        """What the weights learn from."""
        return self.images.sampler(self.split.weights, WEIGHT_STREAM)


@dataclass(frozen=True, kw_only=True)
class SearchAlgorithm(WeightTraining):
    """A search algorithm: a frozen dataclass of its options.

    Attributes:
      epochs: of the whole search; an epoch goes once through the weights' images.
      split: how the training images are divided between weights and architecture.
    """

    kind: ClassVar[str] = "search"
    epochs: int = option(60, "Epochs of the search.", minimum=1)
    split: str = option(
        "within_identity",
        "Halve the images of each identity, or the identities, between weights and architecture.",
        choices=("within_identity", "identities"),
    )

    def check(self, task: Task) -> None:
        """Refuses a task that the algorithm cannot do, before anything is computed.

        Raises:
          BadInput: data, space and options do not fit each other.
        """
        self.objective.check(task.images.dataset.modalities)

    def make_relaxation(self, seed: int) -> "Relaxation | None":
        """How the logits of its supernet become mixture weights; None where it has no supernet."""
        return None

    def search(self, task: Task) -> Architecture:
        """Searches, or resumes the search in ``task.run``; gives what it found."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Modality(Options):
    """The part of the training images that is searched on."""

    modality: str = option(
        "all",
        "Which modality to search on, where the data set has two.",
        choices=("all", "visible", "infrared"),
    )


ALGORITHMS: Registry[type[SearchAlgorithm]] = Registry("search algorithm")


class AlgorithmChoice(OneOf[SearchAlgorithm]):
    """How it is searched."""

    registry = ALGORITHMS
    selector = Option(
        "algorithm",
        str,
        "darts",
        "How it is searched: darts trains weights and architecture in turns; one_shot trains the "
        "weights along random paths and then evolves; random trains some architectures drawn at "
        "random, at the same price, and keeps the best.",
    )

    def for_modalities(self, modalities: Collection[str]) -> "AlgorithmChoice":
        """The same for images of these modalities, see :class:`WeightTraining`."""
        made = self.of_entry(self.name).make()
        before, now = made.values(), made.for_modalities(modalities).values()
        return self.with_values(**{name: now[name] for name in now if now[name] != before[name]})
