"""The search space of Auto-ReID: on every edge of two cells, which operation?"""

import collections
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np

from cmnas_tf.architecture import SHARED, Architecture, plan_of
from cmnas_tf.cell_plan import STEM, CellPlan, channels_of
from cmnas_tf.errors import BadInput
from cmnas_tf.genotype import (
    EDGES,
    EDGES_PER_NODE,
    KINDS,
    NODES,
    NONE,
    OPERATIONS,
    PART_AWARE,
    Genotype,
    sources_of,
)
from cmnas_tf.options import advanced, option
from cmnas_tf.search_spaces.random_cells import draw_genotype, edge_parameters, random_genotype
from cmnas_tf.search_spaces.space import DECIDED, SPACES, SearchSpace

if TYPE_CHECKING:
    import tensorflow as tf

    from cmnas_tf.layers import ModalityNorm, Relaxation
    from cmnas_tf.models import ReidNetwork

AUTO_REID = OPERATIONS
# DARTS also has sep_conv_5x5 and dil_conv_5x5; this is its list as far as Auto-ReID took it over
# (our choice), to see what the part-aware operation is worth.
DARTS = tuple(name for name in OPERATIONS if name != PART_AWARE)


@dataclass(frozen=True)
class CellSpace(SearchSpace):
    """All pairs of a normal and a reduction cell: two edges for each node, an operation for each.

    Attributes:
      candidates: of every edge, :data:`AUTO_REID` or :data:`DARTS`.
    """

    candidates: ClassVar[tuple[str, ...]] = AUTO_REID
    cells: tuple[int, ...] = option(
        (2, 2, 2, 2), "Cells of each stage.", recorded=lambda cells: list(cells) or [2, 2, 2, 2]
    )
    width: float = advanced(
        1.0, "Factor on the number of channels of every stage.", minimum=0.0625, maximum=4.0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "cells", tuple(self.cells) or (2, 2, 2, 2))

    def check(self, modalities: Collection[str]) -> None:
        """Refuses images of two modalities: these networks treat all images alike."""
        if len(modalities) > 1:
            raise BadInput(
                f"The images are {' and '.join(modalities)}, and a search for cells takes one "
                f"modality. Say which: {' or '.join(f'modality={m}' for m in modalities)}."
            )

    def decisions(self) -> dict[str, tuple[str, ...]]:
        """Every edge, and which candidate it carries; ``none`` for no edge."""
        edges = (f"{kind}.{node}.{source}" for kind in KINDS for node, source in EDGES)
        return dict.fromkeys(edges, self.candidates)

    def supernet(
        self, relaxation: "Relaxation", num_classes: int, synchronized: bool = False
    ) -> "ReidNetwork":
        """See :class:`SearchSpace`.

        Both modalities share every norm. Those of the cells have no scale and offset, which would
        undo the weights of the mixture (DARTS); in the part-aware operation too (our choice).
        """
        from cmnas_tf.layers import ModalityNorm
        from cmnas_tf.models import Head, ReidNetwork
        from cmnas_tf.models.cell_net import CellSupernet
        from cmnas_tf.models.two_stream import site_layer_name

        def make_norm(site: str, affine: bool = True) -> "ModalityNorm":
            name = site_layer_name(site)
            return ModalityNorm(SHARED, synchronized, affine and site == STEM, name=name)

        backbone = CellSupernet(
            self.cells, self.candidates, relaxation, make_norm, channels_of(self.width)
        )
        network = ReidNetwork(backbone, Head(num_classes, synchronized))
        network.create_variables()
        return network

    def logits(self, supernet: "ReidNetwork") -> "dict[str, tf.Variable]":
        """The architecture logits by kind of cell, each [14 edges, candidates]."""
        return supernet.backbone.logits()

    def tables(self, supernet: "ReidNetwork") -> dict[str, np.ndarray]:
        """By kind of cell, the softmax over the candidates of each edge, [14, candidates]."""
        from scipy.special import softmax

        return {
            kind: softmax(logits.numpy().astype(np.float64), axis=1)
            for kind, logits in self.logits(supernet).items()
        }

    def expected_cost(
        self, supernet: "ReidNetwork", height: int, width: int
    ) -> "Callable[[], tf.Tensor]":
        """See :class:`SearchSpace`.

        The multiply-adds of each candidate on each edge times its softmax probability, summed over
        the network; divided by that sum at even probabilities, so that it is 1 at the start. Our
        choice: multiply-adds are the same on every machine, measured times are not.
        """
        import tensorflow as tf

        from cmnas_tf.models.cost import edge_costs

        costs = edge_costs(self.cells, self.candidates, channels_of(self.width), height, width)
        work = {kind: table[..., 1] for kind, table in costs.items()}
        even = sum(table.mean(axis=1).sum() for table in work.values())

        def cost() -> "tf.Tensor":
            kinds = self.logits(supernet).items()
            shares = [tf.nn.softmax(logits) * (work[kind] / even) for kind, logits in kinds]
            return tf.add_n([tf.reduce_sum(share) for share in shares])

        return cost

    def derive(self, supernet: "ReidNetwork", provenance: Mapping[str, Any]) -> Architecture:
        """The strongest operations on the strongest edges (DARTS, section 2.4); all norms shared.

        The strength of an edge is the largest weight of an operation on it, ``none`` aside; the two
        strongest edges of each node stay. Among equals the first one wins. The provenance also
        holds the ``probabilities`` by kind of cell and edge, and the ``ties`` decided by order.
        """
        genotype, found = self._genotype(supernet)
        shared = Architecture.shared(CellPlan(genotype, self.cells))
        return replace(shared, provenance={**found, **provenance})

    def _genotype(self, supernet: "ReidNetwork") -> tuple[Genotype, dict[str, Any]]:
        """The cells, and what to write down of how they were found."""
        probabilities = {k: self._named(t) for k, t in self.tables(supernet).items()}
        derived = {kind: derive_cell(weights) for kind, weights in probabilities.items()}
        ties = {kind: ties for kind, (_, ties) in derived.items()}
        genotype = Genotype(**{kind: cell for kind, (cell, _) in derived.items()})
        return genotype, {"probabilities": probabilities, "ties": ties}

    def _named(self, table: np.ndarray) -> dict[str, dict[str, float]]:
        return {
            f"{node}.{source}": dict(zip(self.candidates, row.tolist(), strict=True))
            for (node, source), row in zip(EDGES, table, strict=True)
        }

    def size(self, architecture: Architecture) -> float:
        """Parameters of the edges of all cells."""
        return edge_parameters(cast(CellPlan, architecture.backbone), channels_of(self.width))

    def contains(self, architecture: Architecture) -> bool:
        """Whether it is one of this space: its cells of these candidates, every norm shared."""
        plan = plan_of(architecture.backbone)
        if plan.genotype is None or cast(CellPlan, plan).cells != self.cells:
            return False
        operations = {decision.partition("=")[2] for decision in self.chosen(architecture)}
        return operations <= set(self.candidates) and set(architecture.choices.values()) == {SHARED}

    def select(self, supernet: "ReidNetwork", architecture: Architecture) -> None:
        """Sets the logits so that the supernet computes what ``architecture`` does.

        The edges that it does not have get ``none``.
        """
        genotype = cast(CellPlan, architecture.backbone).genotype
        for kind, logits in self.logits(supernet).items():
            cell = genotype.cell(kind)
            names = [cell[node].get(source, NONE) for node, source in EDGES]
            wanted = np.array([[name == other for other in self.candidates] for name in names])
            logits.assign(np.where(wanted, DECIDED, -DECIDED))

    def random_like(self, architecture: Architecture, seed: int) -> Architecture:
        """Random cells of the size of another's; see :func:`random_genotype`."""
        plan = cast(CellPlan, architecture.backbone)
        genotype = random_genotype(plan, seed, channels_of(self.width), self.candidates)
        return Architecture.shared(CellPlan(genotype, plan.cells))

    def random(self, seed: int) -> Architecture:
        """Two sources for each node and an operation for each, equally likely."""
        return Architecture.shared(CellPlan(draw_genotype(seed, self.candidates), self.cells))

    def mutate(self, architecture: Architecture, seed: int) -> Architecture:
        """The architecture with one edge changed: another source or operation, equally likely."""
        random = np.random.default_rng(seed)
        plan = cast(CellPlan, architecture.backbone)
        cells = {kind: {n: dict(e) for n, e in plan.genotype.cell(kind).items()} for kind in KINDS}
        kind, node = random.choice(KINDS), random.choice(NODES)
        edges = cells[kind][node]
        source = str(random.choice(list(edges)))
        operation, kept = edges[source], {s: o for s, o in edges.items() if s != source}
        others = [(s, operation) for s in sources_of(node) if s not in edges]
        others += [(source, o) for o in self.candidates if o not in (NONE, operation)]
        cells[kind][node] = dict([*kept.items(), others[random.integers(len(others))]])
        return Architecture.shared(CellPlan(Genotype(**cells), plan.cells))

    def chosen(self, architecture: Architecture) -> list[str]:
        """What a search decided for: the edges, with their operations."""
        genotype = cast(CellPlan, architecture.backbone).genotype
        return [
            f"{kind}.{node}.{source}={operation}"
            for kind in KINDS
            for node, edges in genotype.cell(kind).items()
            for source, operation in edges.items()
        ]

    def probabilities(self, architecture: Architecture) -> dict[str, float]:
        """How much a search was for each operation on each edge, 0..1."""
        return {
            f"{kind}.{edge}={operation}": weight
            for kind, edges in architecture.provenance.get("probabilities", {}).items()
            for edge, weights in edges.items()
            for operation, weight in weights.items()
        }

    def describe(self, architecture: Architecture) -> str:
        """An architecture of this space, for people to read."""
        return str(cast(CellPlan, architecture.backbone).genotype)

    def summary(self, supernet: "ReidNetwork") -> tuple[dict[str, float], str]:
        """Scalars for TensorBoard, and the operations of the genotype in a few words."""
        from scipy.special import entr

        tables = self.tables(supernet)
        bits = np.mean([entr(table).sum(axis=1) for table in tables.values()]) / np.log(2.0)
        scalars = {"architecture/mean_entropy_bits": float(bits)}
        for kind, table in tables.items():
            means = zip(self.candidates, table.mean(axis=0).tolist(), strict=True)
            scalars |= {f"probability/{kind}/{name}": mean for name, mean in means}
        genotype, _ = self._genotype(supernet)
        counts = collections.Counter(
            operation
            for kind in tables
            for edges in genotype.cell(kind).values()
            for operation in edges.values()
        )
        scalars |= {f"derived/{name}": counts[name] for name in self.candidates if name != NONE}
        return scalars, " ".join(f"{name} {count}" for name, count in counts.most_common(3))


@dataclass(frozen=True)
class DartsCells(CellSpace):
    """The same without the part-aware operation: the candidates that DARTS has."""

    candidates: ClassVar[tuple[str, ...]] = DARTS


SPACES.register("reid_cells", CellSpace)
SPACES.register("darts_cells", DartsCells)


def derive_cell(
    weights: Mapping[str, Mapping[str, float]],
) -> tuple[dict[str, dict[str, str]], dict[str, list[str]]]:
    """The strongest operations on the strongest edges of a cell.

    Args:
      weights: of the candidates by edge, ``{"node3.input0": {operation: weight}}``.

    Returns:
      The cell as ``{node: {source: operation}}``; and what was equally strong where the order
      decided, edges by node and operations by edge.
    """
    cell: dict[str, dict[str, str]] = {}
    ties: dict[str, list[str]] = {}
    for node in NODES:
        best, equals, strength = {}, {}, {}
        for source in sources_of(node):
            row = {name: w for name, w in weights[f"{node}.{source}"].items() if name != NONE}
            (best[source],), equals[source] = strongest(row, 1)
            strength[source] = row[best[source]]
        chosen, equal_edges = strongest(strength, EDGES_PER_NODE)
        cell[node] = {source: best[source] for source in chosen}
        found = {node: equal_edges} | {f"{node}.{source}": equals[source] for source in chosen}
        ties |= {where: names for where, names in found.items() if names}
    return cell, ties


def strongest(values: Mapping[str, float], count: int) -> tuple[list[str], list[str]]:
    """The names of the ``count`` largest values; and those it had to choose from by their order.

    Returns:
      The names, largest value first, equals in their order; and all names of the smallest value
      that was chosen, when not all of them were.
    """
    chosen = sorted(values, key=values.__getitem__, reverse=True)[:count]
    equals = [name for name in values if values[name] == values[chosen[-1]]]
    return chosen, equals if not set(equals) <= set(chosen) else []
