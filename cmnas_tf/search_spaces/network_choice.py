"""Which network is trained: the options."""

from dataclasses import dataclass

from cmnas_tf.architecture import Architecture
from cmnas_tf.options import option
from cmnas_tf.search_spaces.named_architecture import named_architecture
from cmnas_tf.search_spaces.norm_space import NetworkSize


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
    backbone: str = option(
        "",
        "resnet18, 34, 50, 101 or 152, or an architecture.json or genotype.json: whose batch norms "
        "are the sites. By default that of the file of `architecture`, else resnet50. [code]",
        path=True,
    )

    def make(self) -> Architecture:
        """The architecture that is named."""
        return named_architecture(self.architecture, self.backbone, self.cells, self.width)
