"""All it takes to build a derived network again: what a checkpoint says of the network it holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cmnas_tf.architecture import Architecture
from cmnas_tf.modality import MODALITIES
from cmnas_tf.models.two_stream import ReidNetwork, two_stream
from cmnas_tf.network_parts import PLAIN, NetworkParts
from cmnas_tf.options import described


@dataclass(frozen=True)
class Specification:
    """A derived network, up to its weights."""

    architecture: Architecture  # the choice at every site
    num_classes: int  # training identities
    height: int  # of the input images, in pixels; as their width
    width: int
    last_stride: int = 1  # stride of a ResNet's last stage
    width_factor: float = 1.0  # factor on all channel numbers
    modalities: tuple[str, ...] = MODALITIES  # trained on: norms of others never saw an image
    parts: NetworkParts = PLAIN  # what it has besides its backbone's convolutions and norms
    grey16: tuple[int, ...] = ()  # by which greyscale images of 16 bits were read, ``data.grey16``

    def build(self, synchronized: bool = False) -> ReidNetwork:
        """The network, with fresh weights.

        Raises:
          BadInput: the images are too small for it.
        """
        network = two_stream(
            self.architecture,
            self.num_classes,
            self.architecture.backbone,
            self.last_stride,
            self.width_factor,
            synchronized,
            self.parts,
        )
        network.check_height(self.height)
        return network

    def to_json(self) -> dict[str, Any]:
        """JSON-ready form; parts and range only where there are any, as some day they were new."""
        content = {
            **vars(self),
            "architecture": self.architecture.to_json(),
            "modalities": list(self.modalities),
        }
        parts, grey16 = content.pop("parts"), list(content.pop("grey16"))
        content |= {"grey16": grey16} if grey16 else {}
        return content if parts == PLAIN else {**content, "parts": described([parts])}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Specification":
        """From the form of :meth:`to_json`."""
        architecture = Architecture.from_json(content["architecture"])
        modalities = tuple(content.get("modalities", MODALITIES))
        parts = dict(content.get("parts", {}))
        parts["non_local"] = tuple(parts.get("non_local", ()))
        grey16 = tuple(content.get("grey16", ()))
        read = {"architecture": architecture, "modalities": modalities, "grey16": grey16}
        return cls(**{**content, **read, "parts": NetworkParts(**parts)})
