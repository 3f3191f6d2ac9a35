"""From settings to the search space that they name."""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import tensorflow as tf

from cmnas_tf import settings as settings_module
from cmnas_tf.architecture import Architecture, named_backbone
from cmnas_tf.errors import BadInput
from cmnas_tf.layers import Gdas, GumbelSoftmax, Relaxation, Softmax
from cmnas_tf.models import ReidNetwork
from cmnas_tf.search_spaces import AUTO_REID, DARTS, CellSpace, NormSpace


class SearchSpace(Protocol):
    """What a search needs of its space."""

    @property
    def relaxation(self) -> Relaxation:
        """How logits become mixture weights."""

    def check(self, modalities: Collection[str]) -> None:
        """Raises BadInput if these are not the modalities that it can be searched with."""

    def supernet(self, num_classes: int) -> ReidNetwork:
        """The network that contains every architecture of the space."""

    def logits(self, supernet: ReidNetwork) -> Mapping[str, tf.Variable]:
        """The architecture logits of its supernet."""

    def summary(self, supernet: ReidNetwork) -> tuple[Mapping[str, float], str]:
        """Scalars for TensorBoard, and a few words, on how far it has decided."""

    def expected_cost(
        self, supernet: ReidNetwork, height: int, width: int
    ) -> Callable[[], tf.Tensor]:
        """What the mixture costs for an image, to be differentiated for the logits."""

    def derive(self, supernet: ReidNetwork, provenance: Mapping[str, Any]) -> Architecture:
        """What the logits prefer."""

    def contains(self, architecture: Architecture) -> bool:
        """Whether it is one of the space."""

    def prefer(self, supernet: ReidNetwork, architecture: Architecture) -> None:
        """Sets the logits so that the supernet computes what ``architecture`` does."""

    def random_like(self, architecture: Architecture, seed: int) -> Architecture:
        """A random architecture of the space, of the size of another."""

    def chosen(self, architecture: Architecture) -> list[str]:
        """What a search decided for, each decision as a word."""

    def leanings(self, architecture: Architecture) -> Mapping[str, float]:
        """How strongly a search was for each of its possible decisions, 0..1."""

    def save(self, architecture: Architecture, folder: Path) -> None:
        """Writes ``architecture.json``, and what else is usual for such an architecture."""

    def describe(self, architecture: Architecture) -> str:
        """An architecture of the space, for people to read."""


def search_space(settings: settings_module.Search) -> SearchSpace:
    """The space of ``--search_space``.

    Raises:
      BadInput: a setting of the network is not one of this space.
    """
    return BUILDERS[settings.schedule.search_space](settings)


def _norms(settings: settings_module.Search) -> NormSpace:
    network = settings.network
    return NormSpace(
        named_backbone(network.backbone or "resnet50", network.cells),
        _relaxation(settings),
        network.last_stride,
        network.width,
        settings.devices.batch_norm == "synchronized",
    )


def _cells(candidates: tuple[str, ...], settings: settings_module.Search) -> CellSpace:
    network = settings.network
    for name in ("backbone", "last_stride"):
        value = getattr(network, name)
        if value != getattr(settings_module.Network(), name):
            raise BadInput(
                f"--{name}={value} means nothing to --search_space={settings.schedule.search_space}"
                ", which searches a backbone of cells. Leave one of the two flags out."
            )
    return CellSpace(
        _relaxation(settings),
        candidates,
        network.cells or CellSpace.cells,
        network.width,
        settings.devices.batch_norm == "synchronized",
    )


def _relaxation(settings: settings_module.Search) -> Relaxation:
    schedule = settings.schedule
    if schedule.relaxation == "softmax":
        return Softmax()
    sampled = {"gumbel": GumbelSoftmax, "gdas": Gdas}[schedule.relaxation]
    return sampled(settings.run.seed, schedule.initial_temperature, schedule.final_temperature)


BUILDERS: Mapping[str, Callable[[settings_module.Search], SearchSpace]] = {
    "norm": _norms,
    "reid_cells": partial(_cells, AUTO_REID),
    "darts_cells": partial(_cells, DARTS),
}
