"""Shared fixtures: golden numbers and how their inputs were made (see tests/goldens/README.md)."""

import os
import zlib
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow as tf

# Two logical devices, for the tests that compare two replicas with one; before any is used.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

GOLDENS = Path(__file__).parent / "goldens"


class Goldens:
    """Inputs and expected values of the authors' released programs."""

    folder = GOLDENS

    @staticmethod
    def load(name: str):
        return np.load(GOLDENS / name)

    @staticmethod
    def rng(name: str) -> np.random.RandomState:
        return np.random.RandomState((zlib.crc32(name.encode()) ^ 20210) & 0xFFFFFFFF)

    @classmethod
    def weight(cls, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """The value of the weight called ``name`` (torch name, torch layout)."""
        r = cls.rng(name).standard_normal(shape)
        if name.endswith("running_var"):
            value = np.exp(0.1 * r)
        elif name.endswith(("running_mean", "bias")):
            value = 0.1 * r
        else:
            scale = {1: 0.1, 2: 0.05, 4: 0.5 * np.sqrt(2 / np.prod(shape[1:]))}[len(shape)]
            value = scale * r + (1.0 if len(shape) == 1 else 0.0)
        return value.astype(np.float32)

    @classmethod
    def images(cls, name: str, n: int) -> np.ndarray:
        """The image batch called ``name``, [n, 128, 64, 3]."""
        images = cls.rng(name).standard_normal((n, 3, 128, 64)).astype(np.float32)
        return images.transpose(0, 2, 3, 1)


@pytest.fixture(scope="session")
def goldens() -> type[Goldens]:
    return Goldens


@pytest.fixture(scope="session")
def two_replicas() -> tf.distribute.Strategy:
    """The one MirroredStrategy of the session: two replicas on one CPU.

    A second MirroredStrategy in a process fails when its gradients have other shapes, and so do the
    default collectives; reducing on one device does not.
    """
    return tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )
