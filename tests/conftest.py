"""Chance and order of the tests, and golden numbers and how their inputs were made (see
tests/goldens/README.md).

What is drawn without a seed of its own follows from the name of the test and from the environment
variable ``CMNAS_TF_TEST_SEED`` (0 where there is none). ``--random-order=SEED`` shuffles the files
and the tests within each.
"""

import os
import random
import signal
import zlib
from collections import Counter
from pathlib import Path
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# What gRPC does at a fork, once it was used, now and then aborts programs that tests begin.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from tensorflow.python import pywrap_tfe

from cmnas_tf.architecture import BACKBONES
from tests.tiny_people import ONE_BLOCK

# What `nohup` has ignored would be so in the programs that tests begin, too.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("busy", deadline=None)
hypothesis.settings.load_profile("busy")

SEED = int(os.environ.get("CMNAS_TF_TEST_SEED", "0"))

# Two logical devices, for the tests that compare two replicas with one; before any is used.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

GOLDENS = Path(__file__).parent / "goldens"


def pytest_addoption(parser):
    parser.addoption("--random-order", type=int, metavar="SEED", help="shuffle files and tests")


def pytest_collection_modifyitems(config, items):
    for item in items:
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            hypothesis.seed(_seed_of(item.name))(item.obj)
    if (seed := config.getoption("--random-order")) is not None:
        files = {}
        for item in items:
            files.setdefault(item.path, []).append(item)
        chance = random.Random(seed)
        shuffled = chance.sample(list(files.values()), len(files))
        items[:] = [item for tests in shuffled for item in chance.sample(tests, len(tests))]


def pytest_terminal_summary(terminalreporter):
    """Says in one line what was skipped, and for want of what."""
    said = (report.longrepr[2] for report in terminalreporter.stats.get("skipped", []))
    reasons = Counter(reason.removeprefix("Skipped: ").partition(": ")[0] for reason in said)
    if reasons:
        counts = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        terminalreporter.write_line(f"skipped: {counts}")


def _seed_of(name: str) -> int:
    return zlib.crc32(name.encode(), SEED & 0xFFFFFFFF)


@pytest.fixture(autouse=True)
def seeded(request):
    """Python's, NumPy's and TensorFlow's generators, and those of Keras's initializers."""
    _set_seed(_seed_of(request.node.name))


@pytest.fixture
def one_block(monkeypatch):
    """ResNet-18 is left with one block."""
    monkeypatch.setitem(BACKBONES.entries, "resnet18", ONE_BLOCK)


@pytest.fixture(scope="module")
def one_block_throughout():
    """So it is for all tests of a file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BACKBONES.entries, "resnet18", ONE_BLOCK)
        yield


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef):
    """What several tests share is made before the fixture above, whichever of them comes first."""
    if fixturedef.scope != "function":
        _set_seed(_seed_of(fixturedef.argname))


_seeds_used: set[int] = set()


def _set_seed(seed: int) -> None:
    """Throws TensorFlow's kernels away only where one may have drawn with this seed before.

    Kernels that draw are of one seed each and count what they drew. To make all others again takes
    a third of the time of a test that builds a network.
    """
    if seed in _seeds_used:
        keras.utils.set_random_seed(seed)
    else:
        with mock.patch.object(pywrap_tfe, "TFE_ContextClearCaches"):
            keras.utils.set_random_seed(seed)
    _seeds_used.add(seed)


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
