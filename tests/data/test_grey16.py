"""Greyscale images of 16 bits: which ranges there are, and what is said of the images."""

import cv2
import numpy as np
import pytest

from cmnas_tf.data.augmentation import ImageSize
from cmnas_tf.data.grey16 import Grey16, values_of
from cmnas_tf.data.store import FolderStore
from cmnas_tf.errors import BadInput


def written(root, name, values):
    """An image 10 pixels high, of these values over and over."""
    image = np.resize(np.asarray(values, np.uint16), (10, 100))
    assert cv2.imwrite(str(root / name), image)
    return name


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((29000,), "must be two numbers, the lower one first"),
        ((1, 2, 3), "must be two numbers"),
        ((5, 5), "the lower one first"),
        ((6, 5), "the lower one first"),
        ((-1, 5), "out of range; it must be between 0 and 65535"),
        ((0, 65536), "out of range"),
    ],
)
@pytest.mark.parametrize("component", [Grey16, ImageSize])
def test_what_is_no_range(component, given, message):
    with pytest.raises(BadInput, match=rf"grey16_range=.*{message}"):
        component(grey16_range=given)


@pytest.mark.parametrize("given", [(), (0, 1), (0, 65535), (29000, 31000)])
def test_what_is_a_range(given):
    assert ImageSize(64, 32, grey16_range=given).values() == {
        "grey16_range": given,
        "image_height": 64,
        "image_width": 32,
    }


def test_the_values_are_told(tmp_path):
    """Of all together; a damaged one is passed over, since others tell of it."""
    names = [
        written(tmp_path, "a.png", range(20_000, 21_000)),
        written(tmp_path, "b.png", [0]),
        written(tmp_path, "c.png", [65_535]),
    ]
    (tmp_path / "d.png").write_bytes((tmp_path / "a.png").read_bytes()[:300])
    store = FolderStore(tmp_path)
    (said,) = values_of(store, names[:1])
    assert "1 PNGs are greyscale of 16 bits; 1 of them have values 20000 to 20999, " in said
    assert "1st and 99th percentile 20009 and 20989," in said
    (said,) = values_of(store, [*names, "d.png"])
    assert "4 PNGs" in said and "values 0 to 65535, 1st and 99th percentile 0 and 65535," in said
    assert not list(values_of(store, ["d.png"])) and not list(values_of(store, []))


def test_of_many_a_sample_is_read(tmp_path):
    written(tmp_path, "a.png", [7])
    read = []

    class Counting(FolderStore):
        def read(self, path):
            read.append(path)
            return super().read(path)

    (said,) = values_of(Counting(tmp_path), ["a.png"] * 1000)
    assert 50 <= len(read) <= 100
    assert f"1000 PNGs are greyscale of 16 bits; {len(read)} of them have values 7 to 7" in said
