"""From a word or a file to an architecture, and the options that name a network."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

from cmnas_tf.architecture import (
    SEPARATE,
    SHARED,
    Architecture,
    Backbone,
    named_backbone,
    plan_of,
)
from cmnas_tf.cell_plan import CellPlan, channels_of
from cmnas_tf.errors import BadInput
from cmnas_tf.options import option, path_option
from cmnas_tf.search_spaces.norm_space import NetworkSize
from cmnas_tf.search_spaces.random_cells import random_genotype

RANDOM = "random:"
_OF_STAGE: dict[str, Callable[[str, Backbone], Architecture]] = {
    "until:": Architecture.separate_until,
    "within:": Architecture.separate_within,
}


@dataclass(frozen=True, kw_only=True)
class NetworkChoice(NetworkSize):
    """Which network."""

    architecture: str = option(
        "shared",
        "architecture.json or config.cfg of the network, or the folder of a search, or shared, "
        "separate, until:STAGE (separate up to there, for example until:layer2), within:STAGE "
        "(only there), or random:SEED: random cells with as many parameters as those of "
        "`backbone`.",
        path=True,
    )
    backbone: str = path_option(
        "resnet18, 34, 50, 101 or 152, or an architecture.json or genotype.json: whose batch norms "
        "are the sites. By default that of the file of `architecture`, else resnet50. [code]"
    )

    def make(self) -> Architecture:
        """The architecture that is named; the file of one knows its backbone.

        Raises:
          BadInput: no such word or file, or one of another backbone.
        """
        name, cells = self.architecture, self.cells
        word = next((w for w in (RANDOM, *_OF_STAGE) if name.startswith(w)), None)
        if name not in (SHARED, SEPARATE) and word is None:
            given = named_backbone(self.backbone, cells) if self.backbone else None
            return Architecture.load(name, given, cells)
        of = named_backbone(self.backbone or "resnet50", cells)
        if name == SHARED:
            return Architecture.shared(of)
        if name == SEPARATE:
            return Architecture.separate(of)
        if word == RANDOM:
            return _random(name, of, self.width)
        return _OF_STAGE[str(word)](name.removeprefix(str(word)), of)


def _random(name: str, backbone: Backbone, width: float) -> Architecture:
    """Random cells, as large as the backbone's and as many of them."""
    seed = name.removeprefix(RANDOM)
    if not seed.isdecimal():
        raise BadInput(f"architecture={name}: a seed, 0 or more, must follow {RANDOM}")
    if plan_of(backbone).genotype is None:
        raise BadInput(
            f"architecture={name} draws cells as large as those of a network of cells, and the "
            f"backbone is {backbone}. Say which network: `backbone`, an architecture.json or "
            "genotype.json."
        )
    plan = cast(CellPlan, backbone)
    genotype = random_genotype(plan, int(seed), channels_of(width))
    drawn = Architecture.shared(CellPlan(genotype, plan.cells))
    return replace(drawn, provenance=genotype.provenance)
