"""The network of a genotype, by itself: for one modality, or for two that share every norm."""

from collections.abc import Sequence

from cmnas_tf.architecture import SHARED
from cmnas_tf.cell_plan import CellPlan
from cmnas_tf.genotype import Genotype
from cmnas_tf.layers import ModalityNorm
from cmnas_tf.models.cell_net import derived_net
from cmnas_tf.models.head import Head
from cmnas_tf.models.two_stream import ReidNetwork, site_layer_name


def cell_network(
    genotype: Genotype,
    num_classes: int,
    channels: int = 64,
    cells: Sequence[int] = (2, 2, 2, 2),
    neck: bool = True,
) -> ReidNetwork:
    """The derived network of Auto-ReID.

    With a head for 751 identities and without neck the published genotypes have 11.42 million
    (retrieval), 10.98 (baseline, re-ID search space) and 11.85 (baseline) parameters, and 1.93,
    1.80 and 2.12 billion multiplications for an image of 384x128 [pub]; see ``models.cost``.

    Args:
      genotype: the cells.
      num_classes: training identities.
      channels: of the stem, and of a node in the first stage; each stage has twice those of the one
        before.
      cells: number of cells of each stage.
      neck: whether there is a BN neck; without it the classifier has a bias.
    """

    def make_norm(site: str, affine: bool = True) -> ModalityNorm:
        return ModalityNorm(SHARED, affine=affine, name=site_layer_name(site))

    body = derived_net(CellPlan(genotype, tuple(cells)), make_norm, channels)
    network = ReidNetwork(body, Head(num_classes, neck=neck))
    network.create_variables()
    return network
