"""``cmnas import_weights``: weights made with PyTorch, as a checkpoint.

Takes the authors' checkpoints, and ImageNet weights with torchvision's names. The checkpoint goes
to ``--initial_weights`` of search and train, and to ``--checkpoint`` of evaluate and export.
"""

from dataclasses import dataclass, replace

from cmnas_tf.architecture import named_backbone
from cmnas_tf.data.augmentation import ImageSize
from cmnas_tf.options import Option, Options, path_option
from cmnas_tf.search_spaces.named_architecture import NetworkChoice


@dataclass(frozen=True, kw_only=True)
class ImportedNetwork(NetworkChoice):
    """Which network; an ImageNet ResNet needs no architecture and becomes all shared."""

    architecture: str = ""

    @classmethod
    def _own_options(cls) -> list[Option]:
        known = {found.name: found for found in NetworkChoice._own_options()}
        known["architecture"] = replace(known["architecture"], default="")
        return list(known.values())


@dataclass(frozen=True, kw_only=True)
class ImportWeights(Options):
    """Turns weights made with PyTorch into a checkpoint."""

    file: str = path_option(
        "The file: .safetensors, or what torch.save wrote (.pth, .pth.tar; needs PyTorch).",
        required=True,
        old_names=("weights",),
    )
    output: str = path_option("Checkpoint to write; it must not exist.", required=True)
    network: ImportedNetwork = ImportedNetwork()
    size: ImageSize = ImageSize()


def main(command: ImportWeights) -> None:
    """Writes the checkpoint and says what became of every key."""
    from cmnas_tf.training.import_weights import import_weights

    network = command.network
    report = import_weights(
        command.file,
        command.output,
        network.make() if network.architecture else None,
        backbone=named_backbone(network.backbone or "resnet50", network.cells),
        size=command.size,
        width=network.width,
        last_stride=network.last_stride,
        parts=network.parts,
    )
    print(report)
    print(f"written to {command.output}")
