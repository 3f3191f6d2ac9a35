"""A cell: edges that carry inputs and nodes to nodes, each by an operation or by all of them."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

from cmnas_tf.cell_plan import Place
from cmnas_tf.genotype import INPUTS, NODES, NONE, stride_of
from cmnas_tf.layers import avg_pool_3x3, max_pool_3x3
from cmnas_tf.modality import Rows
from cmnas_tf.models.operations import (
    ConvNorm,
    DepthwiseSeparable,
    FactorizedReduce,
    Identity,
    MakeNorm,
    Operation,
    Pool,
    SeparableConv,
    below,
)
from cmnas_tf.models.part_aware import PartAware

# What an edge carries by: the name of an operation, or the candidates of a search.
Choice = str | tuple[str, ...]
# Of the candidates of each edge (node, source), [candidates].
Weights = Mapping[tuple[str, str], tf.Tensor]
MakeEdge = Callable[[Any, int, int, MakeNorm], keras.layers.Layer]


def operation(name: str, channels: int, stride: int, make_norm: MakeNorm) -> Operation:
    """The operation of a name out of ``genotype.OPERATIONS``; ``none`` has none.

    Args:
      channels: of its input and output.
      stride: 1 or 2.
    """
    if name == "skip_connect":
        return Identity() if stride == 1 else FactorizedReduce(channels, make_norm)
    make = {
        "max_pool_3x3": functools.partial(Pool, max_pool_3x3),
        "avg_pool_3x3": functools.partial(Pool, avg_pool_3x3),
        "sep_conv_3x3": functools.partial(SeparableConv, channels),
        "dil_conv_3x3": functools.partial(DepthwiseSeparable, channels, dilation=2),
        "part_aware": functools.partial(PartAware, channels),
    }
    return make[name](stride, make_norm)


class MixedOperation(keras.layers.Layer):
    """All candidates of an edge at once: ``sum_k weights[k] operation_k(x)`` (DARTS, eq. 2).

    ``none`` adds nothing, and takes its share of the weights.

    Args:
      candidates: names of operations, in the order of the weights.
      channels, stride, make_norm: see :func:`operation`; ``make_norm`` is asked for sites that
        begin with the operation's name.
    """

    def __init__(
        self,
        candidates: Sequence[str],
        channels: int,
        stride: int,
        make_norm: MakeNorm,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.candidates = tuple(candidates)
        self.operations = {
            name: operation(name, channels, stride, below(make_norm, name))
            for name in candidates
            if name != NONE
        }

    def call(
        self, x: tf.Tensor, weights: tf.Tensor, rows: Rows, training: bool = False
    ) -> tf.Tensor:
        """``x`` [N, H, W, C], ``weights`` [candidates] -> see :class:`Operation`."""
        share = dict(zip(self.candidates, tf.unstack(tf.cast(weights, x.dtype)), strict=True))
        return tf.add_n(
            [
                share[name] * carry(x, rows=rows, training=training)
                for name, carry in self.operations.items()
            ]
        )


class Cell(keras.layers.Layer):
    """A cell (DARTS, section 2.1).

    Args:
      edges: ``{node: {source: choice}}``.
      channels: of each node.
      make_edge: makes a layer of a choice: :func:`operation` or :class:`MixedOperation`.
    """

    def __init__(
        self,
        place: Place,
        edges: Mapping[str, Mapping[str, Choice]],
        channels: int,
        make_edge: MakeEdge,
        make_norm: MakeNorm,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.kind = place.kind
        if place.after_reduction:
            self.input0 = FactorizedReduce(channels, below(make_norm, "input0"))
        else:
            self.input0 = ConvNorm(channels, below(make_norm, "input0"), relu=True)
        self.input1 = ConvNorm(channels, below(make_norm, "input1"), relu=True)
        for node in NODES:
            layers = {}
            for source, choice in edges[node].items():
                site = below(make_norm, f"{node}.{source}")
                layers[source] = make_edge(choice, channels, stride_of(self.kind, source), site)
            setattr(self, node, layers)

    def norms(self) -> dict[str, keras.layers.Layer]:
        """The norms of a derived cell by their name within it, in the order a batch meets them."""
        layers = {name: getattr(self, name) for name in INPUTS}
        for node in NODES:
            layers |= {f"{node}.{source}": edge for source, edge in getattr(self, node).items()}
        return {
            f"{name}.{norm_name}": norm
            for name, layer in layers.items()
            for norm_name, norm in layer.norms().items()
        }

    def call(
        self,
        before: tf.Tensor,
        last: tf.Tensor,
        rows: Rows,
        weights: Weights | None = None,
        training: bool = False,
    ) -> tf.Tensor:
        """Takes in what the two cells before it give.

        Args:
          before: of the cell before the last, [N, H, W, C]; twice as high and wide as ``last`` when
            that was given by a reduction cell.
          last: of the last cell, [N, h, w, D].
          weights: of the candidates of each edge, [candidates], when the edges are mixed.

        Returns:
          The nodes, [N, ceil(h / stride), ceil(w / stride), 4 * channels].
        """
        found = {
            "input0": self.input0(before, rows=rows, training=training),
            "input1": self.input1(last, rows=rows, training=training),
        }
        for node in NODES:
            carried = []
            for source, edge in getattr(self, node).items():
                mixture = {} if weights is None else {"weights": weights[node, source]}
                carried.append(edge(found[source], rows=rows, training=training, **mixture))
            found[node] = tf.add_n(carried)
        return tf.concat([found[node] for node in NODES], axis=-1)
