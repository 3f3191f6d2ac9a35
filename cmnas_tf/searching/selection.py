"""Selection: which architecture of a trained supernet is kept, and the registry of ways to choose.

Logits are one reading of a supernet, and often not the best one; its retrieval of people whom the
weights never saw is another. Of architectures that retrieve them equally well, as far as so many
people can tell, the smallest is taken.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from cmnas_tf.architecture import Architecture
from cmnas_tf.errors import BadInput
from cmnas_tf.listed_options import OneOf
from cmnas_tf.options import Option, Options, advanced, option
from cmnas_tf.registry import Registry
from cmnas_tf.search_spaces import SearchSpace

if TYPE_CHECKING:
    from cmnas_tf.data.split import Split
    from cmnas_tf.retrieval.fitness import Fitness
    from cmnas_tf.searching.fitness import SupernetFitness


@dataclass(frozen=True, kw_only=True)
class Selection(Options):
    """A way to choose: a frozen dataclass of its options."""

    needs_fitness: ClassVar[bool] = True

    def check(self, space: SearchSpace, split: "Split") -> None:
        """Refuses a search that it cannot choose for, before anything is computed.

        Raises:
          BadInput: the space has nothing that it could choose from, or the weights learn from all
            people.
        """

    def select(self, derived: Architecture, fitness: "SupernetFitness", seed: int) -> Architecture:
        """The architecture to keep, where the logits prefer ``derived``; its provenance says how it
        was chosen."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class ByLogits(Selection):
    """What the logits prefer, as published."""

    needs_fitness: ClassVar[bool] = False

    def select(self, derived: Architecture, fitness: "SupernetFitness", seed: int) -> Architecture:
        """See :class:`Selection`."""
        return derived


@dataclass(frozen=True, kw_only=True)
class ByFitness(Selection):
    """Base of those that measure architectures and keep the fittest, or one as fit and smaller."""

    tie_errors: float = advanced(
        1.0,
        "Architectures whose fitness differs by no more than this many standard errors of the "
        "difference count as equally fit; the smallest of them is taken.",
        minimum=0,
        maximum=10,
    )

    def check(self, space: SearchSpace, split: "Split") -> None:
        """See :class:`Selection`."""
        if split.kind != "identities":
            raise BadInput(
                "`selection` by fitness judges by people whom the weights never saw, and split="
                f"{split.kind} leaves none. Give split=identities, or selection=logits."
            )
        if (people := len(set(split.architecture.pids.tolist()))) < 2:
            raise BadInput(
                "`selection` by fitness ranks the people that are kept from the weights, and there "
                f"is {people}. Give images of more people, or selection=logits."
            )

    def select(self, derived: Architecture, fitness: "SupernetFitness", seed: int) -> Architecture:
        """See :class:`Selection`."""
        self.explore(derived, fitness, seed)
        measured = fitness.measured
        best, kept = fittest(measured, fitness.space, self.tie_errors)
        provenance = {
            **derived.provenance,
            "fitness": measured[kept].mean_ap,
            "best_fitness": measured[best].mean_ap,
            "standard_error": measured[best].standard_error_to(measured[kept]),
            "architectures_measured": len(measured),
        }
        return replace(kept, provenance=provenance)

    def explore(self, derived: Architecture, fitness: "SupernetFitness", seed: int) -> None:
        """Measures what there is to choose from; arguments as those of :meth:`select`."""
        raise NotImplementedError


def of_selection(selected: Architecture) -> str:
    """What a selection by fitness says of the architecture that it selected; else nothing."""
    found = selected.provenance
    if "architectures_measured" not in found:
        return ""
    fitness, best = 100 * found["fitness"], 100 * found["best_fitness"]
    ahead = f"; the best, {best:.1f}, is not clearly ahead" if best > fitness else ""
    return (
        f"selected among {found['architectures_measured']} by the retrieval of people whom the "
        f"weights never saw: mAP {fitness:.1f}{ahead}\n"
    )


def fittest(
    measured: "Mapping[Architecture, Fitness]", space: SearchSpace, tie_errors: float
) -> tuple[Architecture, Architecture]:
    """The fittest architecture, and the smallest that is as fit; each the first of equals.

    Args:
      measured: by architecture, in the order in which they were measured.
      tie_errors: see :class:`ByFitness`.
    """
    best = max(measured, key=lambda architecture: measured[architecture].mean_ap)

    def as_fit(architecture: Architecture) -> bool:
        behind = measured[best].mean_ap - measured[architecture].mean_ap
        return behind <= tie_errors * measured[best].standard_error_to(measured[architecture])

    ties = [architecture for architecture in measured if as_fit(architecture)]
    smallest = min(map(space.size, ties))
    return best, max(
        (architecture for architecture in ties if space.size(architecture) == smallest),
        key=lambda architecture: measured[architecture].mean_ap,
    )


@dataclass(frozen=True, kw_only=True)
class OfStages(ByFitness):
    """The fittest of the space's hand-drawn architectures, which decide whole stages alike."""

    def check(self, space: SearchSpace, split: "Split") -> None:
        """See :class:`Selection`."""
        super().check(space, split)
        if not space.hand_drawn():
            raise BadInput(
                "selection=stages chooses among hand-drawn architectures, and this search space "
                "has none. Give selection=evolution, or selection=logits."
            )

    def explore(self, derived: Architecture, fitness: "SupernetFitness", seed: int) -> None:
        """See :class:`ByFitness`."""
        for architecture in fitness.space.hand_drawn().values():
            fitness(architecture)


@dataclass(frozen=True, kw_only=True)
class Perturbation(ByFitness):
    """Decides one decision after the other for the candidate that the supernet needs more.

    After Wang et al., ICLR 2021, with fitness in place of accuracy: in a random order each decision
    is fixed in turn for each of its candidates, with the others still mixed as the logits say, and
    stays fixed for the candidate that retrieves best. Nothing is trained in between (our choice).
    """

    def check(self, space: SearchSpace, split: "Split") -> None:
        """See :class:`Selection`."""
        super().check(space, split)
        if not space.decides_singly:
            raise BadInput(
                "selection=perturbation fixes one decision after the other, and those of this "
                "search space depend on each other. Give selection=evolution, or selection=logits."
            )

    def explore(self, derived: Architecture, fitness: "SupernetFitness", seed: int) -> None:
        """See :class:`ByFitness`."""
        space, decisions = fitness.space, list(fitness.space.decisions().items())
        fixed: list[str] = []
        for place in np.random.default_rng(seed).permutation(len(decisions)).tolist():
            decision, candidates = decisions[place]
            scores = {}
            for candidate in candidates:
                space.fix(fitness.supernet, decision, candidate)
                scores[candidate] = fitness.of_mixture([*fixed, f"{decision}: {candidate}"]).mean_ap
            best = max(scores, key=scores.__getitem__)  # the first of equals
            space.fix(fitness.supernet, decision, best)
            fixed.append(f"{decision}: {best}")
        fitness(space.derive(fitness.supernet, {}))


@dataclass(frozen=True, kw_only=True)
class Evolution(ByFitness):
    """Regularised evolution (Real et al., AAAI 2019) from hand-drawn and derived architectures.

    The fittest of a few of the living, drawn at random, has a child that differs in one decision;
    the child lives, and the oldest dies. The first to live are the hand-drawn architectures and
    what the logits prefer, or random ones where that is too few (our choice).
    """

    population: int = advanced(12, "Number of architectures alive at a time.", minimum=2)
    tournament: int = advanced(
        4, "How many are drawn, of which the fittest has a child.", minimum=1
    )
    evaluations: int = option(30, "Largest number of architectures to measure.", minimum=2)

    def explore(self, derived: Architecture, fitness: "SupernetFitness", seed: int) -> None:
        """See :class:`ByFitness`."""
        space, random = fitness.space, np.random.default_rng(seed)
        first = [*space.hand_drawn().values(), derived]
        while len(first) < self.population:
            first.append(space.random(int(random.integers(2**31))))
        seen = dict.fromkeys(replace(architecture, provenance={}) for architecture in first)
        living = list(seen)[: self.evaluations]
        for architecture in living:
            fitness(architecture)
        # A space may be smaller than the budget, so children that are known are counted, too.
        for _ in range(self.evaluations - len(living)):
            drawn = random.choice(len(living), min(self.tournament, len(living)), replace=False)
            parent = max((living[place] for place in drawn), key=lambda a: fitness(a).mean_ap)
            child = replace(space.mutate(parent, int(random.integers(2**31))), provenance={})
            fitness(child)
            living = [*living, child][-max(self.population, len(first)) :]


SELECTIONS: Registry[type[Selection]] = Registry("selection")
SELECTIONS.register("logits", ByLogits)
SELECTIONS.register("stages", OfStages)
SELECTIONS.register("perturbation", Perturbation)
SELECTIONS.register("evolution", Evolution)


class SelectionChoice(OneOf[Selection]):
    """What is kept of a trained supernet."""

    registry = SELECTIONS
    selector = Option(
        "selection",
        str,
        "logits",
        "What is kept of a trained supernet: what the logits prefer (as published), or what "
        "retrieves people best whom the weights never saw: the fittest hand-drawn architecture "
        "(stages), one decided site by site (perturbation), or one evolved (evolution).",
    )
