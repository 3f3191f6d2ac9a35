"""What each candidate on each edge of a network of cells costs."""

import numpy as np

from cmnas_tf.cell_plan import places_of
from cmnas_tf.genotype import EDGES, KINDS, NONE, stride_of
from cmnas_tf.models.cost import Cost, operation_cost


def edge_costs(
    cells: tuple[int, ...], candidates: tuple[str, ...], channels: int, height: int, width: int
) -> dict[str, np.ndarray]:
    """Counts every candidate on every edge, summed over all cells of a kind; ``none`` is free.

    Args:
      cells: number of cells of each stage.
      channels: of a node in the first stage.
      height, width: of an image, in pixels.

    Returns:
      By kind of cell a table of parameters and multiply-adds, [14 edges, candidates, 2] float64;
      the rows are in the order of ``genotype.EDGES``.
    """
    tables = {kind: np.zeros((len(EDGES), len(candidates), 2)) for kind in KINDS}
    for place in places_of(cells):
        for row, (_, source) in enumerate(EDGES):
            shrinkage = place.shrinkage(source)
            size = (-(-height // shrinkage), -(-width // shrinkage))  # halving rounds up
            stage_channels = channels * 2 ** (place.stage - 1)
            stride = stride_of(place.kind, source)
            tables[place.kind][row] += [
                Cost(0, 0) if name == NONE else operation_cost(name, stage_channels, stride, *size)
                for name in candidates
            ]
    return tables
