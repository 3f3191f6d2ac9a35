"""The settings of a synthetic data set, and the random streams that hang from its seed."""

import zlib
from dataclasses import dataclass

import numpy as np

from cmnas_tf.errors import BadInput
from cmnas_tf.modality import INFRARED, VISIBLE

# Which cameras a layout has, and what they see.
CAMERAS = {
    "sysu_mm01": {
        1: VISIBLE,
        2: VISIBLE,
        3: INFRARED,
        4: VISIBLE,
        5: VISIBLE,
        6: INFRARED,
    },
    "regdb": {1: VISIBLE, 2: INFRARED},
}

_RANGES = {
    # Folder names have four digits: both together must stay below 10,000.
    "train_identities": (2, 4999),
    "test_identities": (2, 4999),
    "images_per_camera": (1, 9999),
    "height": (32, 4096),
    "width": (16, 4096),
    "materials": (4, 64),
    "reflectance_correlation": (0, 1),
    "difficulty": (0, 1),
    "seed": (0, 2**32 - 1),
}


@dataclass(frozen=True)
class SyntheticPeople:
    """Everything that decides the files of a synthetic data set.

    Attributes:
      layout: the data set whose tree is imitated, ``"sysu_mm01"`` or ``"regdb"``.
      train_identities: people to train on, 2..4999.
      test_identities: other people, to test on, 2..4999.
      images_per_camera: images of every person from every camera, 1..9999.
      height: of an image, pixels, 32..4096.
      width: of an image, pixels, 16..4096.
      materials: garment materials that all people share, 4..64.
      reflectance_correlation: Pearson correlation, over those materials, of luminance with
        infrared reflectance, 0..1; 1 makes infrared a grey-scale photograph.
      difficulty: 0 (easy) .. 1 (hard); scales the variety of views, strides, positions, scales,
        occlusion, clutter, light, blur and noise.
      seed: of every random draw, 0..2^32 - 1.

    Raises:
      BadInput: a value outside its range.
    """

    layout: str = "sysu_mm01"
    train_identities: int = 200
    test_identities: int = 200
    images_per_camera: int = 10
    height: int = 64
    width: int = 32
    materials: int = 6
    reflectance_correlation: float = 0.5
    difficulty: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.layout not in CAMERAS:
            raise BadInput(
                f"layout must be one of {sorted(CAMERAS)}. Received: {self.layout!r}. "
                "Choose one of these."
            )
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise BadInput(
                    f"{name} must be from {low} to {high}. Received: {value}. "
                    f"Set {name} to a value in this range."
                )

    @property
    def cameras(self) -> dict[int, str]:
        """Camera number -> modality, as the layout has them."""
        return CAMERAS[self.layout]

    @property
    def pids(self) -> range:
        """The people, 1..N: those to train on first, then those to test on."""
        return range(1, self.train_identities + self.test_identities + 1)

    @property
    def images(self) -> int:
        """How many images the data set has."""
        return len(self.pids) * len(self.cameras) * self.images_per_camera


def stream(seed: int, name: str, *numbers: int) -> np.random.Generator:
    """The random stream that ``name`` and ``numbers`` have under ``seed``."""
    return np.random.default_rng([seed, zlib.crc32(name.encode()), *numbers])
