"""Networks of cells: one with the operations of a genotype, and the supernet of all of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from cmnas_tf.cell_plan import STEM, CellPlan, places_of, smallest_height
from cmnas_tf.genotype import EDGES, KINDS, NODES, sources_of
from cmnas_tf.layers import Relaxation, TorchConv, max_pool_3x3
from cmnas_tf.modality import Rows
from cmnas_tf.models.cell import Cell, Choice, MakeEdge, MixedOperation, Weights, operation
from cmnas_tf.models.operations import MakeNorm, below
from cmnas_tf.models.stages import Stages


class CellNet(Stages):
    """The convolutional part of a network of cells.

    The stem of a ResNet, then stages of cells; each stage but the first begins with a reduction
    cell and has twice the channels of the one before. The authors published their cells, not how
    they stack them: this is a reconstruction with which their three networks have the published
    numbers of parameters and of multiplications.

    Args:
      cells: number of cells of each stage.
      edges: ``{kind of cell: {node: {source: choice}}}``.
      make_edge: makes a layer of a choice: ``cell.operation`` or ``cell.MixedOperation``.
      make_norm: gives the norm layer of a site.
      channels: of the stem, and of a node in the first stage.
    """

    def __init__(
        self,
        cells: tuple[int, ...],
        edges: Mapping[str, Mapping[str, Mapping[str, Choice]]],
        make_edge: MakeEdge,
        make_norm: MakeNorm,
        channels: int,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.smallest_height = smallest_height(cells, edges)
        self.conv1 = TorchConv(channels, 7, 2)
        self.bn1 = make_norm(STEM)
        stages: dict[str, list[Cell]] = {f"layer{n}": [] for n in range(1, len(cells) + 1)}
        for place in places_of(cells):
            width = channels * 2 ** (place.stage - 1)
            site = below(make_norm, place.name)
            cell = Cell(place, edges[place.kind], width, make_edge, site)
            stages[f"layer{place.stage}"].append(cell)
        self.set_stages(stages)

    def mixtures(self) -> Mapping[str, Weights | None]:
        """By kind of cell, the weights of the candidates of its edges; None without candidates."""
        return dict.fromkeys(KINDS)

    def call(self, x: tf.Tensor, rows: Rows, training: bool = False) -> tf.Tensor:
        """``x`` [N, H, W, 3] -> feature map [N, H / 32, W / 32, 32 * channels] of four stages."""
        weights = self.mixtures()
        x = tf.nn.relu(self.bn1(self.conv1(x), rows=rows, training=training))
        before = last = max_pool_3x3(x)
        for cells in self.stages.values():
            for cell in cells:
                mixture = weights[cell.kind]
                inputs = {"before": before, "last": last}
                if mixture is not None:
                    inputs["weights"] = mixture
                before, last = last, self.through(cell, inputs, rows, training)
        return last


def derived_net(plan: CellPlan, make_norm: MakeNorm, channels: int) -> CellNet:
    """The backbone with the operations of a genotype."""
    edges = {kind: plan.genotype.cell(kind) for kind in KINDS}
    return CellNet(plan.cells, edges, operation, make_norm, channels)


class CellSupernet(CellNet):
    """The backbone with all candidates on all edges, mixed by logits that all its cells share.

    Attributes:
      normal_logits, reduction_logits: [14 edges, candidates] float32, 0 at the start; the rows are
        in the order of ``genotype.EDGES``.

    Args:
      candidates: names of operations, in the order of the columns of the logits.
      relaxation: how the logits of an edge become the weights of its candidates.
      cells, make_norm, channels: see :class:`CellNet`.
    """

    def __init__(
        self,
        cells: tuple[int, ...],
        candidates: Sequence[str],
        relaxation: Relaxation,
        make_norm: MakeNorm,
        channels: int,
        **kwargs: Any,
    ):
        everywhere = {node: dict.fromkeys(sources_of(node), tuple(candidates)) for node in NODES}
        edges = dict.fromkeys(KINDS, everywhere)
        super().__init__(cells, edges, MixedOperation, make_norm, channels, **kwargs)
        self.relaxation = relaxation
        shape = (len(EDGES), len(candidates))
        for kind in KINDS:
            logits = self.add_weight(
                f"{kind}_logits", shape, initializer="zeros", experimental_autocast=False
            )
            setattr(self, f"{kind}_logits", logits)

    def logits(self) -> dict[str, tf.Variable]:
        """The architecture logits by kind of cell."""
        return {kind: getattr(self, f"{kind}_logits") for kind in KINDS}

    def mixtures(self) -> Mapping[str, Weights | None]:
        """By kind of cell, the weights of the candidates of its edges, [candidates] each."""
        return {
            kind: dict(zip(EDGES, tf.unstack(self.relaxation(logits, kind)), strict=True))
            for kind, logits in self.logits().items()
        }
