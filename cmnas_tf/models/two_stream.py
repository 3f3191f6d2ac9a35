"""The network that sees both modalities: a backbone whose norms know them, and a head."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from tensorflow import keras

from cmnas_tf.architecture import Architecture
from cmnas_tf.layers import ModalityNorm
from cmnas_tf.modality import MODALITIES, Rows
from cmnas_tf.models.head import Embeddings, Head
from cmnas_tf.models.resnet import ResNet


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


def two_stream(
    architecture: Architecture,
    num_classes: int,
    backbone: str = "resnet50",
    last_stride: int = 1,
    width: float = 1.0,
    synchronized: bool = False,
) -> ReidNetwork:
    """The derived network: shared convolutions, batch norms as the architecture says.

    Args:
      architecture: the choice at each site of ``backbone``.
      num_classes: training identities.
      backbone: ``"resnet18"`` .. ``"resnet152"``.
      last_stride: stride of the last stage, 1 [authors] or 2.
      width: factor on all channel numbers.
      synchronized: batch statistics over all replicas.

    Raises:
      ValueError: the architecture belongs to another backbone.
    """
    if architecture.backbone != backbone:
        raise ValueError(
            f"The architecture is one of {architecture.backbone}, the backbone is {backbone}; "
            "they must be the same."
        )

    def make_norm(site: str) -> ModalityNorm:
        return ModalityNorm(architecture.choices[site], synchronized, name=site_layer_name(site))

    return resnet_network(make_norm, num_classes, backbone, last_stride, width, synchronized)


def resnet_network(
    make_norm: Any,
    num_classes: int,
    backbone: str,
    last_stride: int,
    width: float,
    synchronized: bool,
) -> ReidNetwork:
    """A ResNet with the norms of ``make_norm``, and the head; its variables exist on return."""
    network = ReidNetwork(
        ResNet(backbone, make_norm, last_stride, width), Head(num_classes, synchronized)
    )
    # One tiny pass creates every variable, so that a checkpoint can be read into it at once.
    network({modality: tf.zeros([1, 32, 32, 3]) for modality in MODALITIES})
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
