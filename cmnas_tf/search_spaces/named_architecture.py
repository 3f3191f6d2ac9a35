"""From the word or the file of ``--architecture`` to the architecture."""

from dataclasses import replace

from cmnas_tf import settings as settings_module
from cmnas_tf.architecture import SEPARATE, SHARED, Architecture, Backbone, named_backbone
from cmnas_tf.cell_plan import CellPlan
from cmnas_tf.errors import BadInput
from cmnas_tf.models.cell_net import channels_of
from cmnas_tf.search_spaces.random_cells import random_genotype

RANDOM = "random:"
UNTIL = "until:"
WITHIN = "within:"


def named_architecture(name: str, network: settings_module.Network) -> Architecture:
    """The architecture that ``--architecture`` names: a word, or a file, which knows its backbone.

    Raises:
      BadInput: no such word or file, or one of another backbone than the network's settings say.
    """
    if name not in (SHARED, SEPARATE) and not name.startswith((RANDOM, UNTIL, WITHIN)):
        given = named_backbone(network.backbone, network.cells) if network.backbone else None
        return Architecture.load(name, given, network.cells)
    backbone = named_backbone(network.backbone or "resnet50", network.cells)
    if name == SHARED:
        return Architecture.shared(backbone)
    if name == SEPARATE:
        return Architecture.separate(backbone)
    if name.startswith(RANDOM):
        return _random(name, backbone, network.width)
    if name.startswith(WITHIN):
        return Architecture.separate_within(name.removeprefix(WITHIN), backbone)
    return Architecture.separate_until(name.removeprefix(UNTIL), backbone)


def _random(name: str, backbone: Backbone, width: float) -> Architecture:
    """Random cells, as large as the backbone's and as many of them."""
    seed = name.removeprefix(RANDOM)
    if not seed.isdecimal():
        raise BadInput(f"--architecture={name}: a seed, 0 or more, must follow {RANDOM}")
    if not isinstance(backbone, CellPlan):
        raise BadInput(
            f"--architecture={name} draws cells as large as those of a network of cells, and the "
            f"backbone is {backbone}. Say which network: --backbone=FILE, an architecture.json or "
            "genotype.json."
        )
    genotype = random_genotype(backbone, int(seed), channels_of(width))
    drawn = Architecture.shared(CellPlan(genotype, backbone.cells))
    return replace(drawn, provenance=genotype.provenance)
