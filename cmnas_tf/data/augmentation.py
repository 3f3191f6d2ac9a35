"""The form in which an image enters the network, and what is done to it in training."""

from dataclasses import dataclass
from typing import Any

from cmnas_tf.data.grey16 import Grey16
from cmnas_tf.errors import BadInput
from cmnas_tf.options import Options, advanced, option

_PART: dict[str, Any] = {"minimum": 0, "maximum": 1}


@dataclass(frozen=True)
class ImageSize(Grey16):
    """The form in which an image enters the network."""

    image_height: int = option(256, "Height of the network's input, in pixels. [code]", minimum=16)
    image_width: int = option(128, "Width of the network's input, in pixels. [code]", minimum=8)


@dataclass(frozen=True)
class Augmentation(Options):
    """The training augmentation of the field (Luo et al., CVPRW 2019; authors' released code).

    Erasing is that of Zhong et al., AAAI 2020, with each channel's ImageNet mean in the rectangle:
    the channel-level random erasing of Ye et al., "Channel Augmented Joint Learning for
    Visible-Infrared Recognition", ICCV 2021, from whom exchanged channels and greyscale are, too.
    Mixed channels are the moderate random linear enhancement of Tan et al., "RLE: A Unified
    Perspective of Data Augmentation for Cross-Spectral Re-Identification", NeurIPS 2024. An image
    has one of these three at most, so their probabilities add up to no more than 1.

    Attributes:
      erase_area: smallest and largest erased share of the image.
      erase_aspect: smallest height / width of the rectangle; the largest is its inverse.
    """

    pad: int = advanced(10, "Zero padding before the random crop, in pixels. [code]", minimum=0)
    flip_probability: float = advanced(0.5, "Probability of a horizontal flip. [code]", **_PART)
    erase_probability: float = option(0.5, "Probability of erasing a rectangle. [code]", **_PART)
    channel_exchange_probability: float = advanced(
        0.0,
        "Probability that one of R, G, B of a visible image takes the place of all three "
        "(Ye et al., ICCV 2021).",
        **_PART,
    )
    greyscale_probability: float = advanced(
        0.0,
        "Probability that a visible image becomes its luminance instead (Ye et al., ICCV 2021).",
        **_PART,
    )
    channel_mixing_probability: float = advanced(
        0.0,
        "Probability that a visible image becomes a random mixture of R, G and B instead: RLE (Tan "
        "et al., NeurIPS 2024).",
        **_PART,
    )
    color_jitter: float = advanced(
        0.0,
        "Largest relative change of contrast, brightness and saturation of visible images.",
        **_PART,
    )
    erase_area: tuple[float, float] = (0.02, 0.4)
    erase_aspect: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.grey_probability > 1:
            raise BadInput(
                f"channel_exchange_probability={self.channel_exchange_probability}, "
                f"greyscale_probability={self.greyscale_probability} and "
                f"channel_mixing_probability={self.channel_mixing_probability} add up to more than "
                "1, and no image gets two of them; lower one of them."
            )

    @property
    def grey_probability(self) -> float:
        """Probability that one image of greys takes the place of a visible image's channels."""
        published = self.channel_exchange_probability + self.greyscale_probability
        return published + self.channel_mixing_probability
