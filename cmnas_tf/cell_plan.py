"""The plan of a network of cells: which stands where, and the batch norms there are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from cmnas_tf.errors import BadInput
from cmnas_tf.genotype import (
    INPUTS,
    NORMAL,
    PART_AWARE,
    PARTS,
    REDUCTION,
    Genotype,
    stride_of,
)

STEM = "stem"
MOST_CELLS = 1000  # of a network; our choice

_NORMS = {
    "max_pool_3x3": ("bn",),
    "avg_pool_3x3": ("bn",),
    "sep_conv_3x3": ("first.bn", "second.bn"),
    "dil_conv_3x3": ("bn",),
    PART_AWARE: ("parts_bn", "last.bn"),
}


class Place(NamedTuple):
    """Where a cell stands in a network."""

    # Counted from 1; its cells have ``2 ** (stage - 1)`` times the channels of the first.
    stage: int
    number: int  # of the cell within its stage, from 0
    kind: str  # ``"normal"``, or ``"reduction"`` for the first cell of all stages but the first
    # Whether the cell before it was a reduction cell, so that its ``input0`` is twice as large as
    # its ``input1``.
    after_reduction: bool

    @property
    def name(self) -> str:
        """Such as ``"layer2.0"``."""
        return f"layer{self.stage}.{self.number}"

    def shrinkage(self, source: str) -> int:
        """The height of an image over the height of an edge's input."""
        reductions = self.stage - 1
        if self.kind == REDUCTION and source in INPUTS:
            reductions -= 1
        return 4 * 2**reductions  # the stem, of a ResNet, divides by 4


def channels_of(width: float) -> int:
    """The ``channels`` of a network of the width factor ``width``; 64 at 1, as in a ResNet."""
    return max(1, round(64 * width))


def places_of(cells: tuple[int, ...]) -> tuple[Place, ...]:
    """The cells of a network with so many in each stage, in the order a batch goes through them.

    Raises:
      BadInput: a number that is not 1 or more, or more than ``MOST_CELLS`` in all.
    """
    if not cells or any(count < 1 for count in cells) or sum(cells) > MOST_CELLS:
        raise BadInput(
            f"Each stage must have 1 or more cells, all at most {MOST_CELLS}. Received: {cells}."
        )
    places: list[Place] = []
    for stage, count in enumerate(cells, start=1):
        for number in range(count):
            kind = REDUCTION if stage > 1 and number == 0 else NORMAL
            after = bool(places) and places[-1].kind == REDUCTION
            places.append(Place(stage, number, kind, after))
    return tuple(places)


def smallest_height(cells: tuple[int, ...], structure: Mapping[str, Mapping[str, Any]]) -> int:
    """The image height from which every part-aware operation has a row for each of its parts.

    Args:
      cells: number of cells of each stage.
      structure: ``{kind: {node: {source: operation, or the candidates for one}}}``.
    """
    shrinkages = [
        place.shrinkage(source)
        for place in places_of(cells)
        for edges in structure[place.kind].values()
        for source, choice in edges.items()
        if PART_AWARE in choice
    ]
    # Halving rounds up, so that a part-aware operation sees ceil(height / shrinkage) rows.
    return (PARTS - 1) * max(shrinkages, default=0) + 1


@dataclass(frozen=True)
class CellPlan:
    """What tells one network of cells from another: its two cells, and how often they stand in it.

    Attributes:
      cells: number of cells of each stage.

    Raises:
      BadInput: a number that is not 1 or more.
    """

    genotype: Genotype
    cells: tuple[int, ...] = (2, 2, 2, 2)
    kind: ClassVar[str] = "cells"
    has_torch_names: ClassVar[bool] = False

    def __post_init__(self) -> None:
        places_of(self.cells)

    def __str__(self) -> str:
        """Such as ``a network of 2-2-2-2 cells``."""
        return f"a network of {'-'.join(map(str, self.cells))} cells"

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "CellPlan":
        """From the form of :meth:`to_json`.

        Raises:
          BadInput: a key is missing, or the genotype is invalid.
        """
        cells = content.get("cells")
        if not isinstance(cells, list) or not all(isinstance(count, int) for count in cells):
            raise BadInput(f"the number of cells of each stage is missing or no list: {cells!r}.")
        return cls(Genotype.from_json(content.get("genotype")), tuple(cells))

    def to_json(self) -> dict[str, Any]:
        """``{"cells", "genotype"}``, JSON-ready."""
        return {"cells": list(self.cells), "genotype": self.genotype.to_json()}

    def sites(self) -> tuple[str, ...]:
        """Names of all batch norms of the backbone, in the order a batch meets them."""
        names = [STEM]
        for place in places_of(self.cells):
            names += [f"{place.name}.{name}.bn" for name in INPUTS]
            for node, edges in self.genotype.cell(place.kind).items():
                for source, operation in edges.items():
                    norms = norms_of(operation, stride_of(place.kind, source))
                    names += [f"{place.name}.{node}.{source}.{norm}" for norm in norms]
        return tuple(names)


def norms_of(operation: str, stride: int) -> tuple[str, ...]:
    """Names of the batch norms within an operation; a strided skip is a factorised reduction."""
    if operation == "skip_connect":
        return ("bn",) if stride == 2 else ()
    return _NORMS[operation]
