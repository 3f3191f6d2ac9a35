"""What a search space is, and the registry of spaces.

A space knows its decisions, builds the supernet of all choices, and draws and changes choices at
random. It knows nothing of how it is searched. Listing spaces and their options needs no
TensorFlow; a space imports it when it builds a network.
"""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from cmnas_tf.architecture import Architecture
from cmnas_tf.errors import BadInput
from cmnas_tf.listed_options import OneOf
from cmnas_tf.network_parts import PLAIN, NetworkParts
from cmnas_tf.options import Option, Options
from cmnas_tf.registry import Registry

if TYPE_CHECKING:
    import tensorflow as tf

    from cmnas_tf.layers import Relaxation
    from cmnas_tf.models import ReidNetwork

# A logit, and minus the others, at which a softmax is 0 or 1 in float32 and Gumbel's noise is lost.
DECIDED = 100.0


class SearchSpace(Options):
    """A search space: a frozen dataclass of its options.

    Attributes:
      width, last_stride, parts: of all its networks, see ``models.two_stream``.
      decides_singly: whether any candidate of a decision goes with any candidates of the others.
    """

    width: float
    last_stride: int = 1
    parts: NetworkParts = PLAIN
    decides_singly: ClassVar[bool] = False

    def check(self, modalities: Collection[str]) -> None:
        """Refuses data that the space cannot be searched with.

        Raises:
          BadInput: these are not the modalities that it needs.
        """
        raise NotImplementedError

    def decisions(self) -> Mapping[str, tuple[str, ...]]:
        """The candidates of every decision, by its name."""
        raise NotImplementedError

    def supernet(
        self, relaxation: "Relaxation", num_classes: int, synchronized: bool = False
    ) -> "ReidNetwork":
        """The network that contains every architecture of the space.

        Args:
          relaxation: how logits become mixture weights.
          num_classes: training identities.
          synchronized: batch statistics over all replicas.
        """
        raise NotImplementedError

    def logits(self, supernet: "ReidNetwork") -> "Mapping[str, tf.Variable]":
        """The architecture parameters of its supernet, by name."""
        raise NotImplementedError

    def expected_cost(
        self, supernet: "ReidNetwork", height: int, width: int
    ) -> "Callable[[], tf.Tensor]":
        """Gives a function of what the mixture costs: a scalar >= 0 with gradients for the logits.

        Args:
          supernet: of this space.
          height: of the images, in pixels.
          width: of the images, in pixels.

        Raises:
          BadInput: every architecture of the space costs the same, as of norms: whether one is
            separate or shared, an image goes through one.
        """
        raise BadInput(
            "`latency_weight` is for a search for cells: all architectures of this search space "
            "cost the same. Leave it out, or give search_space=reid_cells."
        )

    def derive(self, supernet: "ReidNetwork", provenance: Mapping[str, Any]) -> Architecture:
        """The architecture that the logits prefer.

        Args:
          supernet: of this space.
          provenance: what else to write down with the architecture; JSON-ready.
        """
        raise NotImplementedError

    def select(self, supernet: "ReidNetwork", architecture: Architecture) -> None:
        """Sets the logits so that the supernet computes what ``architecture`` does."""
        raise NotImplementedError

    def fix(self, supernet: "ReidNetwork", decision: str, candidate: str) -> None:
        """Sets the logits of one decision so that the supernet has one candidate for it; where the
        space ``decides_singly``."""
        raise NotImplementedError

    def hand_drawn(self) -> Mapping[str, Architecture]:
        """Architectures that people would draw, by name; none where nobody would."""
        return {}

    def size(self, architecture: Architecture) -> float:
        """What is less where an architecture is simpler."""
        raise NotImplementedError

    def contains(self, architecture: Architecture) -> bool:
        """Whether it is one of the space."""
        raise NotImplementedError

    def random(self, seed: int) -> Architecture:
        """An architecture drawn at random."""
        raise NotImplementedError

    def random_like(self, architecture: Architecture, seed: int) -> Architecture:
        """An architecture drawn at random among those of the size of another."""
        raise NotImplementedError

    def mutate(self, architecture: Architecture, seed: int) -> Architecture:
        """The architecture with one decision changed at random."""
        raise NotImplementedError

    def chosen(self, architecture: Architecture) -> list[str]:
        """What a search decided for, each decision as a word."""
        raise NotImplementedError

    def probabilities(self, architecture: Architecture) -> Mapping[str, float]:
        """How strongly a search was for each of its possible decisions, 0..1."""
        raise NotImplementedError

    def summary(self, supernet: "ReidNetwork") -> tuple[Mapping[str, float], str]:
        """Scalars for TensorBoard, and a few words, on how far it has decided."""
        raise NotImplementedError

    def save(self, architecture: Architecture, folder: Path) -> None:
        """Writes what is usual for such an architecture besides its JSON form."""

    def describe(self, architecture: Architecture) -> str:
        """An architecture of the space, for people to read."""
        raise NotImplementedError


SPACES: Registry[type[SearchSpace]] = Registry("search space")


class SpaceChoice(OneOf[SearchSpace]):
    """What is searched."""

    registry = SPACES
    selector = Option(
        "search_space",
        str,
        "norm",
        "What is searched: which batch norms are separate per modality (CM-NAS), or the operations "
        "of two cells, for one modality: Auto-ReID's, or those of them that DARTS has.",
    )
