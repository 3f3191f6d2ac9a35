"""What decides the files of synthetic people, and what follows: cameras, people, views, streams."""

import zlib
from dataclasses import dataclass

import numpy as np

from cmnas_tf.data import market1501, regdb, sysu_mm01
from cmnas_tf.errors import BadInput
from cmnas_tf.modality import INFRARED
from cmnas_tf.options import Options, option

# Which cameras a layout has, and what they see.
CAMERAS = {
    "sysu_mm01": sysu_mm01.CAMERAS,
    "regdb": regdb.CAMERAS,
    "market1501": market1501.CAMERAS,
}
# Options of one layout alone; to the others they are 0.
ONLY_OF = {"distractors": "market1501", "junk": "market1501"}


@dataclass(frozen=True)
class InfraredCameras(Options):
    """What separates the infrared cameras of synthetic people from the visible ones."""

    infrared_sees: str = option(
        "reflectance",
        "What infrared cameras see: the near-infrared light of an illuminator that materials "
        "reflect; the heat of bodies and surroundings, of which either may be the warmer one; or "
        "colours, as the visible cameras do.",
        choices=("reflectance", "heat", "colours"),
    )
    infrared_detail: float = option(
        1.0, "Resolution of infrared cameras over that of visible ones.", minimum=0.05, maximum=1
    )
    infrared_noise: float = option(
        1.0, "Noise of infrared cameras over that of visible ones.", minimum=0, maximum=50
    )
    infrared_elevation: float = option(
        0.0, "How much more steeply infrared cameras look down, in degrees.", minimum=0, maximum=75
    )
    infrared_turn: float = option(
        0.0,
        "How far infrared cameras are turned around the people, in degrees.",
        minimum=-180,
        maximum=180,
    )


@dataclass(frozen=True)
class SyntheticPeople(Options):
    """Synthetic people: everything that decides the files of such a data set."""

    dataset: str = option(
        "sysu_mm01", "The data set whose tree is imitated.", choices=tuple(CAMERAS)
    )
    train_identities: int = option(300, "People to train on.", minimum=2, maximum=4999)
    test_identities: int = option(50, "Other people, to test on.", minimum=2, maximum=4999)
    images_per_camera: int = option(
        2, "Images of every person from every camera.", minimum=1, maximum=9999
    )
    distractors: int = option(
        10, "Market-1501: further people, in the gallery only.", minimum=0, maximum=4999
    )
    junk: int = option(
        50, "Market-1501: badly cut images in the gallery folder.", minimum=0, maximum=9999
    )
    image_height: int = option(64, "Height of an image, in pixels.", minimum=32, maximum=4096)
    image_width: int = option(32, "Width of an image, in pixels.", minimum=16, maximum=4096)
    materials: int = option(6, "Garment materials that all people share.", minimum=4, maximum=64)
    reflectance_correlation: float = option(
        0.5,
        "Correlation of luminance with infrared reflectance over the materials; at 1 infrared is a "
        "grey-scale photograph.",
        minimum=0,
        maximum=1,
    )
    difficulty: float = option(
        0.5,
        "0 (easy) to 1 (hard): variety of views, positions, scales, occlusion, clutter, light, "
        "blur and noise.",
        minimum=0,
        maximum=1,
    )
    seed: int = option(0, "Seed of all randomness.", minimum=0, maximum=2**32 - 1)
    infrared: InfraredCameras = InfraredCameras()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dataset == "market1501" and self.images_per_camera < 2:
            raise BadInput(
                f"images_per_camera={self.images_per_camera} leaves no gallery to market1501, "
                "where the first image from each camera is the query; it must be at least 2."
            )
        if self.infrared != InfraredCameras() and INFRARED not in CAMERAS[self.dataset].values():
            given = ", ".join(f"{name}={value}" for name, value in self.infrared.values().items())
            raise BadInput(
                f"dataset={self.dataset} has no infrared cameras to which these could apply: "
                f"{given}. Leave them out, or give another data set."
            )

    @property
    def cameras(self) -> dict[int, str]:
        """Camera number -> modality, as the layout has them."""
        return CAMERAS[self.dataset]

    @property
    def pids(self) -> range:
        """The people, 1..N: those to train on first, then those to test on."""
        return range(1, self.train_identities + self.test_identities + 1)

    @property
    def everybody(self) -> range:
        """All who are drawn: the people of ``pids``, then the distractors."""
        return range(1, len(self.pids) + self._of_layout("distractors") + 1)

    @property
    def frames(self) -> range:
        """The numbers of a person's images from one camera, junk not counted."""
        return range(1, self.images_per_camera + 1)

    def views(self, person: int) -> list[tuple[int, int]]:
        """Camera and frame of every image of a person; frames beyond ``frames`` are junk.

        Junk goes round the people to test on and round the cameras.
        """
        views = [(camera, frame) for camera in self.cameras for frame in self.frames]
        place = person - self.train_identities - 1
        if place in range(self.test_identities):
            cameras, junk = list(self.cameras), self._of_layout("junk")
            views += [
                (cameras[number % len(cameras)], self.images_per_camera + 1 + number)
                for number in range(place, junk, self.test_identities)
            ]
        return views

    @property
    def image_count(self) -> int:
        """How many images the data set has."""
        return sum(len(self.views(person)) for person in self.everybody)

    def stream(self, name: str, *numbers: int) -> np.random.Generator:
        """The random stream that ``name`` and ``numbers`` have under the seed."""
        return np.random.default_rng([self.seed, zlib.crc32(name.encode()), *numbers])

    def _of_layout(self, name: str) -> int:
        return getattr(self, name) if ONLY_OF[name] == self.dataset else 0
