"""What several tests of searches share."""

import pytest

from cmnas_tf.data import load_dataset
from tests.tiny_people import write_people


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Four people to train on, with an image from each camera."""
    folder = tmp_path_factory.mktemp("people") / "sysu"
    few = {"train_identities": 4, "test_identities": 2, "images_per_camera": 1}
    return load_dataset("sysu_mm01", write_people(folder, **few))


@pytest.fixture(scope="module")
def eight_people(tmp_path_factory):
    """Enough of them to keep some from the weights."""
    return load_dataset("sysu_mm01", write_people(tmp_path_factory.mktemp("people") / "sysu"))
