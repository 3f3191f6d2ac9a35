"""Where the losses meet: one objective that gives the total and every term."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from cmnas_tf.errors import BadInput, did_you_mean
from cmnas_tf.listed_options import ListedOptions
from cmnas_tf.losses.loss import LOSSES, Loss, LossBatch
from cmnas_tf.options import Option

if TYPE_CHECKING:
    import tensorflow as tf

W = TypeVar("W", bound="LossWeights")

TOTAL = "total"
_GOAL = "objective"


class LossWeights(ListedOptions):
    """The weights of registered losses; what is not given has the weight it is registered with.

    Args:
      given: options by name, see :meth:`options`; a loss's weight also by the name of the loss.

    Raises:
      BadInput: unknown name (the nearest are offered) or a value that is not allowed.
    """

    _prefix, _suffix = "", ""

    def __init__(self, **given: Any):
        known = {found.name: found for found in self.options()}
        named: dict[str, Any] = {}
        for word, value in given.items():
            name = self._weight_of(word) if word in LOSSES else word
            if name not in known:
                meant = did_you_mean(word, [*LOSSES, *known])
                raise BadInput(
                    f"There is no loss or option {word!r} of an objective.{meant} The losses are "
                    f"{', '.join(LOSSES)}."
                )
            named[name] = float(value) if isinstance(known[name].default, float) else value
        super().__init__(**named)

    @classmethod
    def _weight_of(cls, loss: str) -> str:
        return f"{cls._prefix}{loss}_weight"

    @classmethod
    def options(cls) -> list[Option]:
        """The weight of every registered loss."""
        return [
            Option(
                cls._weight_of(name),
                float,
                found.weight,
                f"Weight of the {found.title.replace('.', cls._suffix + '.', 1)}",
                minimum=0,
                advanced=bool(cls._prefix) or not found.weight,
            )
            for name, found in LOSSES.items()
        ]

    @property
    def weights(self) -> dict[str, float]:
        """``{loss: weight}`` of all registered losses, in the order of their registration."""
        values = self.values()
        return {name: values[self._weight_of(name)] for name in LOSSES}

    def for_modalities(self: W, modalities: Collection[str]) -> W:
        """The same for images of these modalities.

        For a single one, losses that compare two have weight 0 unless a weight was given.
        """
        if len(modalities) > 1:
            return self
        between = [self._weight_of(n) for n, found in LOSSES.items() if found.modalities > 1]
        return type(self)(**{**dict.fromkeys(between, 0.0), **self._given})


class ArchitectureWeights(LossWeights):
    """What the architecture follows: cross entropy + triplet + C3MMD [pub]."""

    _prefix, _suffix = "architecture_", " in the architecture loss"


class Objective(LossWeights):
    """The terms of the objective: the weighted sum of losses.

    A loss of weight 0 is not computed. For example ``Objective(triplet=2.0, hetero_center=0.5,
    margin=0.3)``.
    """

    @classmethod
    def options(cls) -> list[Option]:
        """The goal, the weight of every registered loss, and the losses' own options."""
        goal = Option(
            _GOAL,
            str,
            "retrieval",
            "retrieval: all terms below; classification: the cross entropy alone, of weight 1, "
            "whatever the weights say. Weights and architecture follow the same one.",
            choices=("retrieval", "classification"),
        )
        own = [inner for found in LOSSES.values() for inner in found.make.options()]
        return [goal, *super().options(), *own]

    @property
    def weights(self) -> dict[str, float]:
        """``{loss: weight}``; for classification the cross entropy's is 1 and every other 0."""
        if self.values()[_GOAL] == "classification":
            return {**dict.fromkeys(LOSSES, 0.0), "cross_entropy": 1.0}
        return super().weights

    @property
    def losses(self) -> dict[str, Loss]:
        """The losses in use, with their options."""
        used = [name for name, weight in self.weights.items() if weight]
        return {name: LOSSES[name].make.of_values(self.values()) for name in used}

    def of_architecture(self, weights: ArchitectureWeights, unknown_people: bool) -> "Objective":
        """The objective of the architecture; goal and the losses' options are those of this one.

        Args:
          weights: of its terms.
          unknown_people: whether it follows identities that the classifier does not know, for which
            losses of classes are left out.
        """
        others = dict(weights.weights)
        if unknown_people:
            others |= {name: 0.0 for name, found in LOSSES.items() if found.of_classes}
            if self.values()[_GOAL] == "classification":
                raise BadInput(
                    "objective=classification follows cross entropy alone, which split=identities "
                    "leaves out of the architecture loss; give split=within_identity."
                )
        return Objective(**{**self._given, **others})

    def check(self, modalities: Collection[str]) -> None:
        """Refuses data that the terms in use cannot be computed of, before anything is computed.

        Raises:
          BadInput: no term is in use, or one between modalities with a single modality.
        """
        used = self.losses
        if not used:
            raise BadInput("Every term of the objective has weight 0; give one a weight.")
        between = [name for name in used if LOSSES[name].modalities > 1]
        if between and len(modalities) < 2:
            weights = ", ".join(f"`{self._weight_of(name)}`" for name in between)
            raise BadInput(
                f"{' and '.join(between)} compare two modalities, but the images are all "
                f"{', '.join(modalities)}. Set their weights ({weights}, and those of the "
                "architecture in a search) to 0."
            )

    def __call__(
        self, outputs: Mapping[str, Any], labels: "tf.Tensor", images_per_identity: int
    ) -> "dict[str, tf.Tensor]":
        """Computes the loss of a whole batch.

        Args:
          outputs, labels, images_per_identity: see :class:`LossBatch`.

        Returns:
          ``{loss: scalar}`` of the losses in use, unweighted, and their weighted sum ``"total"``.

        Raises:
          BadInput: see :meth:`check`.
        """
        import tensorflow as tf

        self.check(outputs)
        batch, weights = LossBatch(outputs, labels, images_per_identity), self.weights
        terms = {name: loss(batch) for name, loss in self.losses.items()}
        return {**terms, TOTAL: tf.add_n([weights[name] * terms[name] for name in terms])}


def short_name(term: str) -> str:
    """What the progress bar calls a term."""
    if term == TOTAL:
        return "loss"
    return LOSSES[term].short if term in LOSSES else term
