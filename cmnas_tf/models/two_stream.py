"""The network that sees both modalities: a backbone whose norms know them, and a head."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

from cmnas_tf.architecture import Architecture, Backbone, ResNetPlan, plan_of
from cmnas_tf.cell_plan import CellPlan, channels_of
from cmnas_tf.errors import BadInput
from cmnas_tf.genotype import Genotype
from cmnas_tf.layers import ModalityNorm
from cmnas_tf.modality import MODALITIES, Rows
from cmnas_tf.models.backbones import BUILDERS
from cmnas_tf.models.head import Embeddings, Head
from cmnas_tf.models.operations import MakeNorm
from cmnas_tf.network_parts import PLAIN, NetworkParts


class ReidNetwork(keras.Model):
    """A backbone and a head, called on one modality or both.

    Args:
      backbone: layer called as ``backbone(x, rows, training=...)``, giving a feature map.
      head: layer from the feature map to :class:`Embeddings`.
    """

    def __init__(self, backbone: keras.layers.Layer, head: Head, **kwargs: Any):
        super().__init__(**kwargs)
        self.backbone = backbone
        self.head = head

    def call(self, images: Any, training: bool = False) -> Embeddings:
        """Embeds a batch.

        Args:
          images: ``(visible, infrared)``, each [N, H, W, 3] float, ImageNet-normalised; or a
            mapping ``{"visible": ..., "infrared": ...}`` of the modalities present. The two may
            differ in N.
          training: whether batch norm uses (and updates) batch statistics.

        Returns:
          :class:`Embeddings`, visible rows first, then infrared.
        """
        parts = _by_modality(images)
        rows = Rows({modality: _count(part) for modality, part in parts.items()})
        x = (
            tf.concat(list(parts.values()), axis=0)
            if len(parts) > 1
            else next(iter(parts.values()))
        )
        return self.head(self.backbone(x, rows, training=training), training=training)

    def embed(self, images: tf.Tensor, modality: str, training: bool = False) -> Embeddings:
        """Embeds ``images`` [N, H, W, 3], all of one modality (``"visible"`` or ``"infrared"``)."""
        if modality not in MODALITIES:
            raise ValueError(f"modality must be one of {MODALITIES}. Received: {modality!r}")
        return self({modality: images}, training=training)

    @property
    def embedding_size(self) -> int:
        """D, the length of an embedding."""
        return int(self.head.classifier.kernel.shape[0])

    def check_height(self, height: int) -> None:
        """Refuses images that the network cannot take in, before one is given to it.

        Raises:
          BadInput: ``height``, in pixels, is too small.
        """
        if height < self.backbone.smallest_height:
            raise BadInput(
                f"Images {height} pixels high are too small for this network: its part-aware "
                "operations would have fewer rows than parts. Give image_height="
                f"{self.backbone.smallest_height} or more, or cells without part_aware."
            )

    def create_variables(self) -> None:
        """Creates every variable, so that a checkpoint can be read into the network at once."""
        image = tf.zeros([1, max(32, self.backbone.smallest_height), 32, 3])
        self(dict.fromkeys(MODALITIES, image))


def two_stream(
    architecture: Architecture,
    num_classes: int,
    backbone: Backbone = "resnet50",
    last_stride: int = 1,
    width: float = 1.0,
    synchronized: bool = False,
    parts: NetworkParts = PLAIN,
) -> ReidNetwork:
    """The derived network: shared convolutions, batch norms as the architecture says.

    Args:
      architecture: the choice at each site of ``backbone``.
      num_classes: training identities.
      backbone: ``"resnet18"`` .. ``"resnet152"``, or a plan of cells.
      last_stride: stride of a ResNet's last stage, 1 [authors] or 2; cells leave no choice.
      width: factor on all channel numbers.
      synchronized: batch statistics over all replicas.
      parts: what it has besides.

    Raises:
      ValueError: the architecture belongs to another backbone.
      BadInput: a last stride other than 1 for cells, or parts that the backbone cannot have.
    """
    if architecture.backbone != backbone:
        raise ValueError(
            f"The architecture is one of {architecture.backbone}, the backbone is {backbone}; "
            "they must be the same."
        )
    make_norm = _norms_of(architecture, synchronized)
    return network_with(make_norm, num_classes, backbone, last_stride, width, synchronized, parts)


def cell_network(
    genotype: Genotype,
    num_classes: int,
    channels: int = 64,
    cells: Sequence[int] = (2, 2, 2, 2),
    neck: bool = True,
) -> ReidNetwork:
    """The derived network of Auto-ReID, for one modality, or for two that share every norm.

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
    plan = CellPlan(genotype, tuple(cells))
    make_norm, width = _norms_of(Architecture.shared(plan)), channels / channels_of(1.0)
    return network_with(make_norm, num_classes, plan, 1, width, synchronized=False, neck=neck)


def _norms_of(architecture: Architecture, synchronized: bool = False) -> MakeNorm:
    def make_norm(site: str, affine: bool = True) -> ModalityNorm:
        choice = architecture.choices[site]
        return ModalityNorm(choice, synchronized, affine, name=site_layer_name(site))

    return make_norm


def network_with(
    make_norm: MakeNorm,
    num_classes: int,
    backbone: Backbone,
    last_stride: int,
    width: float,
    synchronized: bool,
    parts: NetworkParts = PLAIN,
    neck: bool = True,
) -> ReidNetwork:
    """A backbone with the norms of ``make_norm``, and the head; its variables exist on return.

    Raises:
      BadInput: see :func:`two_stream`.
    """
    plan = plan_of(backbone)
    if plan.genotype is not None and last_stride != 1:
        raise BadInput(
            f"last_stride={last_stride} is for ResNets: a network of cells halves its feature map "
            "at the start of every stage but the first. Leave `last_stride` out."
        )
    besides = {"parts": parts, "synchronized": synchronized}
    if not (parts.separate_stem or parts.non_local):
        besides = {}
    elif plan.kind != ResNetPlan.kind:
        raise BadInput(
            f"separate_stem={parts.separate_stem} and non_local={parts.non_local} are for ResNets, "
            f"and the backbone is {backbone}. Leave `separate_stem` and `non_local` out."
        )
    body = BUILDERS[plan.kind](backbone, make_norm, width, last_stride, **besides)
    network = ReidNetwork(body, Head(num_classes, synchronized, neck, parts.pooling))
    network.create_variables()
    return network


def site_layer_name(site: str) -> str:
    """The Keras name of the norm at a site; Keras allows no dots in some places."""
    return site.replace(".", "_")


def _by_modality(images: Any) -> dict[str, tf.Tensor]:
    if not isinstance(images, Mapping):
        images = dict(zip(MODALITIES, images, strict=True))
    unknown = [name for name in images if name not in MODALITIES]
    if unknown:
        raise ValueError(f"modalities must be among {MODALITIES}. Received: {unknown}")
    return {m: images[m] for m in MODALITIES if images.get(m) is not None}


def _count(part: tf.Tensor) -> Any:
    return part.shape[0] if part.shape[0] is not None else tf.shape(part)[0]
