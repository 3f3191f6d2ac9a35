"""Which network is trained: the options."""

from dataclasses import dataclass

from cmnas_tf.architecture import Architecture
from cmnas_tf.options import Options, option
from cmnas_tf.search_spaces.named_architecture import named_architecture


@dataclass(frozen=True, kw_only=True)
class NetworkChoice(Options):
    """Which network."""

    architecture: str = option(
        "shared",
        "architecture.json or config.cfg of the network, or the folder of a search, or shared, "
        "separate, until:STAGE (separate up to there, for example until:layer2), within:STAGE "
        "(only there), or random:SEED: random cells with as many parameters as those of "
        "`backbone`.",
        path=True,
    )
    backbone: str = option(
        "",
        "resnet18, 34, 50, 101 or 152, or an architecture.json or genotype.json: whose batch norms "
        "are the sites. By default that of the file of `architecture`, else resnet50. [code]",
        path=True,
    )
    cells: tuple[int, ...] = option(
        (),
        "Cells of each stage, where the backbone is made of cells. By default those of its file, "
        "else 2,2,2,2.",
        advanced=True,
    )
    width: float = option(
        1.0,
        "Factor on the number of channels of every stage.",
        minimum=0.0625,
        maximum=4.0,
        advanced=True,
    )
    last_stride: int = option(
        1,
        "Stride of a ResNet's last stage; 1 keeps a larger feature map. [code]",
        choices=(1, 2),
        advanced=True,
    )

    def make(self) -> Architecture:
        """The architecture that is named."""
        return named_architecture(self.architecture, self.backbone, self.cells, self.width)
