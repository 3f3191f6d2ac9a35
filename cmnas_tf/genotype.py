"""A genotype: the two cells that a searched network is built of, edge by edge.

A cell has two inputs, the outputs of the two cells before it (``input0`` the one before the last,
``input1`` the last), and four nodes. An edge applies an operation to an input or to an earlier
node; a node is the sum of its edges, and the cell's output is the concatenation of its nodes. The
cells of a network are copies of two: the normal cell, and the reduction cell, which halves the
feature map (DARTS, Liu et al., ICLR 2019, section 2.1; Auto-ReID, Quan et al., ICCV 2019).
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cmnas_tf.errors import BadInput
from cmnas_tf.files import write_json
from cmnas_tf.reading import parse_json, read_bytes

NORMAL = "normal"
REDUCTION = "reduction"
KINDS = (NORMAL, REDUCTION)

INPUTS = ("input0", "input1")
NODES = ("node2", "node3", "node4", "node5")  # numbered on from the inputs, as published

NONE = "none"
PART_AWARE = "part_aware"
# Auto-ReID's search space, in the order of the authors' list; `none` is for the search alone.
OPERATIONS = (
    NONE,
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "dil_conv_3x3",
    PART_AWARE,
)
PARTS = 4  # horizontal stripes of the part-aware operation

EDGES_PER_NODE = 2

CellEdges = Mapping[str, Mapping[str, str]]

_SCHEMA = "cmnas_tf.genotype.1"


def sources_of(node: str) -> tuple[str, ...]:
    """Where the edges of a node can come from: both inputs, and the nodes before it."""
    return (*INPUTS, *NODES[: NODES.index(node)])


# All edges that a cell can have, in the order of the rows of a search's logits.
EDGES = tuple((node, source) for node in NODES for source in sources_of(node))


def stride_of(kind: str, source: str) -> int:
    """The stride of an edge: a reduction cell halves its two inputs."""
    return 2 if kind == REDUCTION and source in INPUTS else 1


@dataclass(frozen=True)
class Genotype:
    """A normal and a reduction cell.

    Attributes:
      normal, reduction: ``{node: {input or earlier node: operation}}``, two edges for each node;
        kept in the order of :data:`EDGES`.
      provenance: where it comes from (source, settings, seed, ties); JSON-ready, not compared.
    """

    normal: CellEdges
    reduction: CellEdges
    provenance: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        for kind in KINDS:
            object.__setattr__(self, kind, _checked(kind, getattr(self, kind)))

    def __str__(self) -> str:
        """A line for each node, such as ``normal node3 = sep_conv_3x3(input0) + ...``."""
        return "\n".join(
            f"{kind} {node} = {' + '.join(f'{name}({source})' for source, name in edges.items())}"
            for kind in KINDS
            for node, edges in self.cell(kind).items()
        )

    def cell(self, kind: str) -> CellEdges:
        """The ``"normal"`` or the ``"reduction"`` cell."""
        return {NORMAL: self.normal, REDUCTION: self.reduction}[kind]

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Genotype":
        """Reads a ``genotype.json``.

        Raises:
          BadInput: no such file, or not a genotype.
        """
        path = Path(path)
        if not path.is_file():
            raise BadInput(
                f"No genotype file {path}. Search for one, or take a published one of "
                "configs/architectures."
            )
        try:
            return cls.from_json(parse_json(read_bytes(path)))
        except ValueError as error:
            raise BadInput(f"{path} is not a usable genotype file: {error}") from error

    @classmethod
    def from_json(cls, content: Any) -> "Genotype":
        """From the form of :meth:`to_json`.

        Raises:
          BadInput: it has another form, or its cells are none.
        """
        if not isinstance(content, dict) or content.get("schema") != _SCHEMA:
            raise BadInput(f'a genotype is a JSON object with "schema": "{_SCHEMA}".')
        missing = [kind for kind in KINDS if kind not in content]
        if missing:
            raise BadInput(f"the {' and the '.join(missing)} cell is missing.")
        provenance = {key: content[key] for key in content if key not in ("schema", *KINDS)}
        return cls(content[NORMAL], content[REDUCTION], provenance)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the JSON form, whole or not at all."""
        write_json(path, self.to_json())

    def to_json(self) -> dict[str, Any]:
        """``{"schema", "normal", "reduction", ...provenance}``, JSON-ready."""
        cells = {
            kind: {node: dict(edges) for node, edges in self.cell(kind).items()} for kind in KINDS
        }
        return {"schema": _SCHEMA, **cells, **self.provenance}


def _checked(kind: str, cell: Any) -> CellEdges:
    """The cell in the order of :data:`EDGES`, read-only; refuses what is no cell."""
    if not isinstance(cell, Mapping) or set(cell) != set(NODES):
        found = ", ".join(map(str, cell)) if isinstance(cell, Mapping) else repr(cell)
        raise BadInput(f"The {kind} cell must have the nodes {', '.join(NODES)}; it has {found}.")
    ordered = {}
    for node in NODES:
        edges, sources, where = cell[node], sources_of(node), f"{node} of the {kind} cell"
        if not isinstance(edges, Mapping) or len(edges) != EDGES_PER_NODE:
            raise BadInput(
                f"{where} must have {EDGES_PER_NODE} edges, as {{input: operation}}; it has "
                f"{edges!r}."
            )
        for source, operation in edges.items():
            if source not in sources:
                raise BadInput(
                    f"An edge to {where} comes from {source!r}; it must come from one of "
                    f"{', '.join(sources)}."
                )
            if operation not in OPERATIONS or operation == NONE:
                raise BadInput(
                    f"The edge from {source} to {where} is {operation!r}; it must be one of "
                    f"{', '.join(name for name in OPERATIONS if name != NONE)}."
                )
        ordered[node] = MappingProxyType({s: edges[s] for s in sources if s in edges})
    return MappingProxyType(ordered)
