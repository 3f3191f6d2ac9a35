"""What follows from the settings of a synthetic data set: cameras, people, random streams."""

import zlib

import numpy as np

from cmnas_tf.data import regdb, sysu_mm01
from cmnas_tf.settings import SyntheticPeople

# Which cameras a layout has, and what they see.
CAMERAS = {"sysu_mm01": sysu_mm01.CAMERAS, "regdb": regdb.CAMERAS}


def cameras_of(settings: SyntheticPeople) -> dict[int, str]:
    """Camera number -> modality, as the layout has them."""
    return CAMERAS[settings.dataset]


def pids_of(settings: SyntheticPeople) -> range:
    """The people, 1..N: those to train on first, then those to test on."""
    return range(1, settings.train_identities + settings.test_identities + 1)


def images_of(settings: SyntheticPeople) -> int:
    """How many images the data set has."""
    return len(pids_of(settings)) * len(cameras_of(settings)) * settings.images_per_camera


def stream(seed: int, name: str, *numbers: int) -> np.random.Generator:
    """The random stream that ``name`` and ``numbers`` have under ``seed``."""
    return np.random.default_rng([seed, zlib.crc32(name.encode()), *numbers])
