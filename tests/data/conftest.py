"""Data sets that are registered for one test."""

import pytest

from cmnas_tf.data import LAYOUTS, register_dataset


@pytest.fixture
def registered():
    """Registers a data set until the test ends."""
    names = []

    def register(name, layout):
        register_dataset(name, layout)
        names.append(name)

    yield register
    for name in names:
        LAYOUTS.unregister(name)
