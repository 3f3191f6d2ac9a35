"""An architecture: for every batch-norm site of a backbone, is it separate per modality or shared?

The backbone is a ResNet, by its name, or a network of cells, by its plan. Sites carry the names of
the backbone they belong to (``stem``, ``layer1.0.downsample``, ``layer1.0.bn1``, ...). The order of
a ResNet's is that of the authors' ``config.cfg``: the stem; then for each stage and block the
downsample's batch norm first, then bn1, bn2, bn3.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

from cmnas_tf.cell_plan import CellPlan
from cmnas_tf.errors import BadInput
from cmnas_tf.files import write_json
from cmnas_tf.genotype import Genotype
from cmnas_tf.reading import parse_json, read_bytes
from cmnas_tf.registry import Registry

FILE_NAME = "architecture.json"  # in a folder of whatever has an architecture

SEPARATE = "separate"
SHARED = "shared"
CHOICES = (SEPARATE, SHARED)

_CFG = {"0": SEPARATE, "1": SHARED}
_CFG_OF_CHOICE = {choice: digit for digit, choice in _CFG.items()}


@dataclass(frozen=True)
class ResNetPlan:
    """What tells one ResNet of the family from another (He et al., CVPR 2016, table 1).

    Attributes:
      blocks: residual blocks of each of the four stages.
      bottleneck: three convolutions a block (1x1, 3x3, 1x1) instead of two 3x3.
      kind, genotype, has_torch_names: see :class:`Plan`.
    """

    blocks: tuple[int, int, int, int]
    bottleneck: bool
    kind: ClassVar[str] = "resnet"
    genotype: ClassVar[None] = None
    has_torch_names: ClassVar[bool] = True

    @property
    def expansion(self) -> int:
        """Output channels of a block over the width of its inner convolutions."""
        return 4 if self.bottleneck else 1

    @property
    def norms_per_block(self) -> int:
        """Batch norms of a block, the downsample's not counted."""
        return 3 if self.bottleneck else 2

    def has_downsample(self, stage: int, block: int) -> bool:
        """Whether a block's shortcut is a strided 1x1 convolution; stages count from 1."""
        return block == 0 and (stage > 1 or self.bottleneck)

    def sites(self) -> tuple[str, ...]:
        """Names of all batch norms of the backbone, in the order of ``config.cfg``."""
        names = ["stem"]
        for stage, blocks in enumerate(self.blocks, start=1):
            for block in range(blocks):
                prefix = f"layer{stage}.{block}"
                if self.has_downsample(stage, block):
                    names.append(f"{prefix}.downsample")
                names += [f"{prefix}.bn{n + 1}" for n in range(self.norms_per_block)]
        return tuple(names)


class Plan(Protocol):
    """What there is to know of a backbone without building it.

    Attributes:
      kind: which builder of ``models.backbones`` makes it.
      has_torch_names: whether the authors' PyTorch program has such a network.
    """

    kind: ClassVar[str]
    has_torch_names: ClassVar[bool]

    @property
    def genotype(self) -> Genotype | None:
        """The cells that it is made of; None where it is not."""

    def sites(self) -> tuple[str, ...]:
        """Names of all batch norms, in the order of ``config.cfg``."""


BACKBONES: Registry[Plan] = Registry("backbone")
for _depth, _blocks in {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}.items():
    BACKBONES.register(f"resnet{_depth}", ResNetPlan(_blocks, bottleneck=_depth >= 50))

# The name of a registered one, or a plan of cells.
Backbone = str | CellPlan


def plan_of(backbone: Backbone) -> Plan:
    """The plan of a backbone.

    Raises:
      BadInput: no backbone of that name.
    """
    return BACKBONES[backbone] if isinstance(backbone, str) else backbone


def named_backbone(name: str, cells: tuple[int, ...] = ()) -> Backbone:
    """The ResNet of that name, or the backbone of an ``architecture.json`` or ``genotype.json``.

    Args:
      name: of a ResNet, or of the file.
      cells: see :func:`stacked`.

    Raises:
      BadInput: neither a ResNet nor such a file; or numbers of cells for a ResNet.
    """
    if name not in BACKBONES and Path(name).exists():
        return stacked(Architecture.load(name).backbone, cells)
    try:
        plan_of(name)
    except BadInput as error:
        raise BadInput(f"{error} Or give the file of an architecture or a genotype.") from error
    return stacked(name, cells)


def stacked(backbone: Backbone, cells: tuple[int, ...]) -> Backbone:
    """The backbone with so many cells in each stage; ``()`` for those that it has.

    Raises:
      BadInput: numbers of cells for a ResNet, or one that is not 1 or more.
    """
    if not cells:
        return backbone
    if isinstance(backbone, str):
        raise BadInput(
            f"cells={','.join(map(str, cells))} is for a network of cells, and {backbone} has "
            "none. Leave `cells` out, or give the file of a genotype as `backbone`."
        )
    return replace(backbone, cells=cells)


def sites_of(backbone: Backbone) -> tuple[str, ...]:
    """The searchable sites of a backbone, in the order of ``config.cfg``.

    Raises:
      BadInput: no backbone of that name.
    """
    return plan_of(backbone).sites()


@dataclass(frozen=True)
class Architecture:
    """The choice at every site of a backbone.

    Attributes:
      choices: ``{site: "shared" | "separate"}``, every site of the backbone exactly once; kept in
        the order of ``config.cfg``.
      backbone: the network the sites belong to.
      provenance: where the choices come from (probabilities, settings, seed, versions); JSON-ready,
        not compared.
    """

    choices: Mapping[str, str]
    backbone: Backbone = "resnet50"
    provenance: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        sites = sites_of(self.backbone)
        missing = [site for site in sites if site not in self.choices]
        unknown = [site for site in self.choices if site not in sites]
        if missing or unknown:
            raise BadInput(
                f"The choices do not fit {self.backbone}, which has {len(sites)} sites: "
                f"{_some('missing', missing)}{_some('unknown', unknown)}"
                "use an architecture of this backbone, or name the right one as `backbone`."
            )
        for site in sites:
            if self.choices[site] not in CHOICES:
                raise BadInput(
                    f"Site {site} is {self.choices[site]!r}; it must be one of "
                    f"{', '.join(map(repr, CHOICES))}."
                )
        ordered = {site: self.choices[site] for site in sites}
        object.__setattr__(self, "choices", MappingProxyType(ordered))

    def __hash__(self) -> int:
        return hash(tuple(self.choices.items()))

    @classmethod
    def shared(cls, backbone: Backbone = "resnet50") -> "Architecture":
        """One batch norm for both modalities everywhere: an ordinary one-stream network."""
        return cls(dict.fromkeys(sites_of(backbone), SHARED), backbone)

    @classmethod
    def separate(cls, backbone: Backbone = "resnet50") -> "Architecture":
        """A batch norm of its own for each modality everywhere."""
        return cls(dict.fromkeys(sites_of(backbone), SEPARATE), backbone)

    @classmethod
    def separate_until(cls, stage: str, backbone: Backbone = "resnet50") -> "Architecture":
        """Separate from the stem to the end of ``stage`` (``stem``, ``layer1`` .. ``layer4``)."""
        return cls._separate_between(stages_of(backbone)[0], stage, backbone)

    @classmethod
    def separate_within(cls, stage: str, backbone: Backbone = "resnet50") -> "Architecture":
        """Separate in ``stage`` (``stem``, ``layer1`` .. ``layer4``) and nowhere else."""
        return cls._separate_between(stage, stage, backbone)

    @classmethod
    def _separate_between(cls, first: str, last: str, backbone: Backbone) -> "Architecture":
        stages = stages_of(backbone)
        if last not in stages:
            raise BadInput(f"No stage {last!r}; it must be one of {', '.join(stages)}.")
        separate = stages[stages.index(first) : stages.index(last) + 1]
        choices = {
            site: SEPARATE if stage_of(site) in separate else SHARED for site in sites_of(backbone)
        }
        return cls(choices, backbone)

    @classmethod
    def from_cfg(cls, line: str, backbone: Backbone = "resnet50") -> "Architecture":
        """Reads the authors' line of integers, 0 = separate, 1 = shared.

        Raises:
          BadInput: another number of entries than the backbone has sites, or an entry that is
            neither 0 nor 1.
        """
        entries = line.replace(",", " ").replace("[", " ").replace("]", " ").split()
        sites = sites_of(backbone)
        if len(entries) != len(sites):
            raise BadInput(
                f"The architecture line has {len(entries)} entries; {backbone} has {len(sites)} "
                "sites and needs one entry, 0 (separate) or 1 (shared), for each."
            )
        for place, entry in enumerate(entries):
            if entry not in _CFG:
                raise BadInput(
                    f"Entry {place} of the architecture line (site {sites[place]}) is {entry!r}; "
                    "it must be 0 (separate) or 1 (shared)."
                )
        return cls(
            {site: _CFG[entry] for site, entry in zip(sites, entries, strict=True)}, backbone
        )

    def to_cfg(self) -> str:
        """The authors' line of integers, separated by blanks; 0 = separate, 1 = shared."""
        return " ".join(_CFG_OF_CHOICE[choice] for choice in self.choices.values())

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        backbone: Backbone | None = None,
        cells: tuple[int, ...] = (),
    ) -> "Architecture":
        """Reads an ``architecture.json``, or a file that holds the authors' line of integers.

        A ``genotype.json`` is the architecture of its cells that shares every norm.

        Args:
          path: the file, or the folder of a run that has one.
          backbone: the backbone it must be for; a line of integers does not name its own and is
            taken to be for this one (ResNet-50 when not given).
          cells: number of cells of each stage, other than those of the file; for an architecture of
            cells that shares every norm.

        Raises:
          BadInput: no such file, not an architecture, or one of another backbone; or other numbers
            of cells where norms are separate.
        """
        path = _file(path)
        if not path.is_file():
            raise BadInput(
                f"No architecture file {path}. Run a search to make one, or give one of the words "
                "shared, separate, until:STAGE, within:STAGE."
            )
        text = read_bytes(path).decode(errors="replace")
        try:
            if not text.lstrip().startswith("{"):
                return cls.from_cfg(text, backbone or "resnet50")
            loaded = cls.from_json(parse_json(text))
        except ValueError as error:
            raise BadInput(f"{path} is not a usable architecture file: {error}") from error
        wanted = stacked(loaded.backbone, cells)
        if wanted != loaded.backbone:
            if SEPARATE in loaded.choices.values():
                raise BadInput(
                    f"{path} says which norms of {loaded.backbone} are separate; `cells` cannot "
                    "change their number. Leave it out."
                )
            loaded = replace(cls.shared(wanted), provenance=loaded.provenance)
        if backbone is not None and loaded.backbone != backbone:
            raise BadInput(
                f"{path} is an architecture of {loaded.backbone}, not of {backbone}. Leave "
                "`backbone` out, which gives the file's own, or give another file."
            )
        return loaded

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Architecture":
        """From the form of :meth:`to_json`.

        Raises:
          BadInput: a key is missing or the choices do not fit the backbone.
        """
        if "schema" in content:  # which a genotype has
            return cls.shared(CellPlan(Genotype.from_json(content)))
        for key, kinds in (("backbone", (str, dict)), ("choices", (dict,))):
            if not isinstance(content.get(key), kinds):
                names = " or ".join(kind.__name__ for kind in kinds)
                raise BadInput(f"the key {key!r} is missing or not a {names}.")
        backbone = content["backbone"]
        if isinstance(backbone, dict):
            backbone = CellPlan.from_json(backbone)
        provenance = {key: content[key] for key in content if key not in ("backbone", "choices")}
        return cls(content["choices"], backbone, provenance)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the JSON form, whole or not at all; in a folder under the name that is read."""
        write_json(_file(path), self.to_json())

    def to_json(self) -> dict[str, Any]:
        """``{"backbone", "choices", ...provenance}``, JSON-ready."""
        backbone = self.backbone if isinstance(self.backbone, str) else self.backbone.to_json()
        return {"backbone": backbone, "choices": dict(self.choices), **self.provenance}

    def strip(self) -> str:
        """The choices at a glance, one group of 0/1 per stage: ``stem 0 | layer1 0110 | ...``."""
        parts = {stage: "" for stage in stages_of(self.backbone)}
        for site, choice in self.choices.items():
            parts[stage_of(site)] += _CFG_OF_CHOICE[choice]
        return " | ".join(f"{stage} {digits}" for stage, digits in parts.items())


def _file(path: str | os.PathLike[str]) -> Path:
    return Path(path) / FILE_NAME if Path(path).is_dir() else Path(path)


def hand_drawn(backbone: Backbone) -> dict[str, Architecture]:
    """What people would draw, by name: everything shared or separate, and separate until, or
    within, each stage where that is yet another one."""
    stages = stages_of(backbone)
    return {
        SHARED: Architecture.shared(backbone),
        SEPARATE: Architecture.separate(backbone),
        **{f"until:{stage}": Architecture.separate_until(stage, backbone) for stage in stages[:-1]},
        **{
            f"within:{stage}": Architecture.separate_within(stage, backbone) for stage in stages[1:]
        },
    }


def stage_of(site: str) -> str:
    """The stage a site belongs to: ``stem``, ``layer1`` .. ``layer4``."""
    return site.split(".")[0]


def stages_of(backbone: Backbone) -> tuple[str, ...]:
    """The stages of a backbone, in the order a batch goes through them."""
    return tuple(dict.fromkeys(stage_of(site) for site in sites_of(backbone)))


def _some(word: str, sites: list[str]) -> str:
    if not sites:
        return ""
    shown = ", ".join(sites[:5]) + (", ..." if len(sites) > 5 else "")
    return f"{len(sites)} {word} ({shown}); "
