"""Random cells, what a search has to be better than."""

import numpy as np

from cmnas_tf.cell_plan import CellPlan
from cmnas_tf.errors import BadInput
from cmnas_tf.genotype import (
    EDGES,
    EDGES_PER_NODE,
    KINDS,
    NODES,
    NONE,
    OPERATIONS,
    PARTS,
    Genotype,
    sources_of,
)

TOLERANCE = 0.03  # of the parameters of all edges
_DRAWS = 5_000  # of which several in a hundred fit, as a rule


def random_genotype(
    like: CellPlan, seed: int, channels: int, candidates: tuple[str, ...] = OPERATIONS
) -> Genotype:
    """Cells whose edges have as many parameters as those of others, within :data:`TOLERANCE`.

    The networks differ in nothing but their edges, so their parameters agree yet closer. All
    genotypes of that size are equally likely: two sources for each node and an operation for each
    are drawn until the size fits.

    Args:
      like: the cells to be as large as, and how many stand in the network.
      seed: of the draw, >= 0.
      channels: of a node in the first stage.
      candidates: operations to draw from; ``none`` is passed over.

    Raises:
      BadInput: hardly any cells are of this size.
    """
    sizes = _parameters(like.cells, channels)
    wanted = _size(like.genotype, sizes)
    names = _operations(candidates)
    random = np.random.default_rng([seed, len(names), *like.cells])
    for _ in range(_DRAWS):
        found = Genotype(**{kind: _random_cell(random, names) for kind in KINDS})
        size = _size(found, sizes)
        if abs(size - wanted) <= TOLERANCE * wanted:
            drawn = {"seed": seed, "edge_parameters": size, "edge_parameters_wanted": wanted}
            return Genotype(found.normal, found.reduction, {"drawn": drawn})
    raise BadInput(
        f"Of {_DRAWS} random genotypes none had {wanted} parameters on its edges, within "
        f"{TOLERANCE:.0%}, like the one given; give one of another size."
    )


def edge_parameters(plan: CellPlan, channels: int) -> int:
    """Parameters of all edges of a network; ``channels`` of a node in the first stage."""
    return _size(plan.genotype, _parameters(plan.cells, channels))


def draw_genotype(seed: int, candidates: tuple[str, ...] = OPERATIONS) -> Genotype:
    """Cells of any size: two sources for each node and an operation for each, equally likely."""
    names = _operations(candidates)
    random = np.random.default_rng([seed, len(names)])
    cells = {kind: _random_cell(random, names) for kind in KINDS}
    return Genotype(**cells, provenance={"drawn": {"seed": seed}})


def _operations(candidates: tuple[str, ...]) -> list[str]:
    return [name for name in candidates if name != NONE]


def _random_cell(random: np.random.Generator, names: list[str]) -> dict[str, dict[str, str]]:
    cell = {}
    for node in NODES:
        sources = random.choice(sources_of(node), EDGES_PER_NODE, replace=False).tolist()
        cell[node] = {source: str(random.choice(names)) for source in sources}
    return cell


def _parameters(cells: tuple[int, ...], channels: int) -> dict[str, np.ndarray]:
    """By kind of cell, of each operation on each edge in all cells of the kind together."""
    from cmnas_tf.models.cost import edge_costs  # which needs TensorFlow

    side = 4 * 2 ** len(cells) * PARTS  # any image that all operations can take in
    tables = edge_costs(cells, OPERATIONS, channels, side, side)
    return {kind: table[..., 0].astype(int) for kind, table in tables.items()}


def _size(genotype: Genotype, parameters: dict[str, np.ndarray]) -> int:
    return sum(
        int(parameters[kind][EDGES.index((node, source)), OPERATIONS.index(name)])
        for kind in KINDS
        for node, edges in genotype.cell(kind).items()
        for source, name in edges.items()
    )
