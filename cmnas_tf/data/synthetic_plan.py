"""What follows from the settings of a synthetic data set: cameras, people, views and streams."""

import zlib

import numpy as np

from cmnas_tf.data import market1501, regdb, sysu_mm01
from cmnas_tf.settings import SyntheticPeople

# Which cameras a layout has, and what they see.
CAMERAS = {
    "sysu_mm01": sysu_mm01.CAMERAS,
    "regdb": regdb.CAMERAS,
    "market1501": market1501.CAMERAS,
}
# Settings of one layout alone; to the others they are 0.
ONLY_OF = {"distractors": "market1501", "junk": "market1501"}


def cameras_of(settings: SyntheticPeople) -> dict[int, str]:
    """Camera number -> modality, as the layout has them."""
    return CAMERAS[settings.dataset]


def pids_of(settings: SyntheticPeople) -> range:
    """The people, 1..N: those to train on first, then those to test on."""
    return range(1, settings.train_identities + settings.test_identities + 1)


def drawn_people(settings: SyntheticPeople) -> range:
    """Everybody who is drawn: the people of :func:`pids_of`, then the distractors."""
    return range(1, len(pids_of(settings)) + _of_layout(settings, "distractors") + 1)


def frames_of(settings: SyntheticPeople) -> range:
    """The numbers of a person's images from one camera, junk not counted."""
    return range(1, settings.images_per_camera + 1)


def views_of(settings: SyntheticPeople, person: int) -> list[tuple[int, int]]:
    """Camera and frame of every image of a person; frames beyond :func:`frames_of` are junk.

    Junk goes round the people to test on and round the cameras.
    """
    views = [(camera, frame) for camera in cameras_of(settings) for frame in frames_of(settings)]
    place = person - settings.train_identities - 1
    if place in range(settings.test_identities):
        cameras, junk = list(cameras_of(settings)), _of_layout(settings, "junk")
        views += [
            (cameras[number % len(cameras)], settings.images_per_camera + 1 + number)
            for number in range(place, junk, settings.test_identities)
        ]
    return views


def images_of(settings: SyntheticPeople) -> int:
    """How many images the data set has."""
    return sum(len(views_of(settings, person)) for person in drawn_people(settings))


def stream(seed: int, name: str, *numbers: int) -> np.random.Generator:
    """The random stream that ``name`` and ``numbers`` have under ``seed``."""
    return np.random.default_rng([seed, zlib.crc32(name.encode()), *numbers])


def _of_layout(settings: SyntheticPeople, name: str) -> int:
    return getattr(settings, name) if ONLY_OF[name] == settings.dataset else 0
