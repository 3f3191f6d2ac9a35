"""The tiny backbone that the processes here have from a plugin, for the tests themselves."""

import sys

import pytest

from cmnas_tf.architecture import BACKBONES
from tests.tiny_people import PLUGIN


@pytest.fixture(scope="module", autouse=True)
def tiny_resnet():
    sys.path.insert(0, str(PLUGIN))
    try:
        import tiny_resnet
    finally:
        sys.path.remove(str(PLUGIN))
    yield
    BACKBONES.unregister(tiny_resnet.NAME)
    del sys.modules["tiny_resnet"]
