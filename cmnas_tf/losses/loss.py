"""What a loss is, and the registry of those that an objective can be made of.

Listing losses and their options needs no TensorFlow; a loss imports it when it computes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from cmnas_tf.options import Options
from cmnas_tf.registry import Registry

if TYPE_CHECKING:
    import tensorflow as tf


class LossBatch(NamedTuple):
    """What a loss is computed of: a whole batch, whatever number of devices computed it.

    Attributes:
      outputs: ``{modality: embeddings}`` with attributes ``pooled``, ``embedding`` [P * K, D] and
        ``logits`` [P * K, C]; every modality has the same identities in the same order, the K rows
        of an identity next to each other.
      labels: [P * K] integers, 0..C-1.
      images_per_identity: K.
    """

    outputs: Mapping[str, Any]
    labels: "tf.Tensor"
    images_per_identity: int


class Loss(Options):
    """A loss: a frozen dataclass of its options, called with a batch."""

    def __call__(self, batch: LossBatch) -> "tf.Tensor":
        """The unweighted loss, a scalar of at least float32."""
        raise NotImplementedError


L = TypeVar("L", bound=type[Loss])


@dataclass(frozen=True)
class RegisteredLoss:
    """A loss and all that follows from its registration."""

    make: type[Loss]  # its options become options of every objective
    title: str  # what it is, behind "Weight of the"
    short: str  # what the progress bar calls it
    # By default, in the objective of the weights and in that of the architecture.
    weight: float = 0.0
    modalities: int = 1  # how many it needs, 1 or 2
    of_classes: bool = False  # whether it takes logits, which only identities in training have


LOSSES: Registry[RegisteredLoss] = Registry("loss")


def register_loss(name: str, **details: Any) -> Callable[[L], L]:
    """Registers the decorated class; the details are those of :class:`RegisteredLoss`.

    Its weight is the option ``{name}_weight`` of an objective and ``architecture_{name}_weight`` of
    a search; flags, checks, the progress bar, TensorBoard and a study's arm ``no_{name}`` follow.

    Raises:
      BadInput: the name is taken.
    """

    def register(make: L) -> L:
        LOSSES.register(name, RegisteredLoss(make, **details))
        return make

    return register


def at_least_float32(*tensors: "tf.Tensor") -> "tuple[tf.Tensor, ...]":
    """The tensors as float32, or as they are when they are float64."""
    import tensorflow as tf

    tensors = tuple(map(tf.convert_to_tensor, tensors))
    return tuple(x if x.dtype == tf.float64 else tf.cast(x, tf.float32) for x in tensors)
