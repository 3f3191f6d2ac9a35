"""What the picture of matches shows, looked up in its pixels."""

import numpy as np
import pytest
from PIL import Image, ImageColor

from cmnas_tf.tiles import (
    FRAME,
    GAP,
    HEIGHT,
    RIGHT,
    UNKNOWN,
    WIDTH,
    WRONG,
    Tile,
    draw,
    opened,
)


def tile(colour, right=None):
    return Tile(Image.new("RGB", (4, 8), colour), ("one", "two"), right)


def test_16_bits_are_shown_from_dark_to_bright(tmp_path):
    """The range of a server's model is not known; what a thermal camera writes is not all white."""
    values = np.arange(29_000, 29_512, dtype=np.uint16).reshape(32, 16)
    for name, stored in (("a.png", values), ("same.png", np.full_like(values, 29_000))):
        Image.fromarray(stored).save(tmp_path / name)
    shown = np.asarray(opened(tmp_path / "a.png").convert("RGB"))
    expected = (np.arange(512) * 255 // 511).reshape(32, 16)
    np.testing.assert_array_equal(shown, np.repeat(expected[..., None], 3, axis=-1))
    assert not np.asarray(opened(tmp_path / "same.png")).any()


@pytest.fixture(scope="module")
def picture():
    row = [tile("red"), tile("green", True), tile("blue", False), Tile(None, ())]
    return np.asarray(draw([row, row]))


def left_of(column):
    return GAP + column * (WIDTH + 2 * FRAME + GAP) + (2 * GAP if column else 0)


def test_every_tile_shows_its_image(picture):
    for column, colour in enumerate(("red", "green", "blue", "#EEEEEE")):
        inside = picture[GAP + FRAME + HEIGHT // 2, left_of(column) + FRAME + WIDTH // 2]
        assert tuple(inside) == ImageColor.getrgb(colour)


def test_frames_differ_in_colour_and_without_colour(picture):
    """Along the upper edge: the frame of a right match is one line, that of a wrong one has gaps,
    and each has a mark of its own in the corner of the image."""
    edges, corners = [], []
    for column, colour in enumerate((UNKNOWN, RIGHT, WRONG)):
        left = left_of(column)
        edge = picture[GAP + 1, left : left + WIDTH + 2 * FRAME]
        framed = (edge == ImageColor.getrgb(colour)).all(axis=1)
        gaps = (edge == 255).all(axis=1)
        assert (framed | gaps).all()
        edges.append(gaps.any())
        corner = picture[GAP + FRAME :, left + FRAME + WIDTH - 22 : left + FRAME + WIDTH][:22]
        corners.append((corner == 255).all(axis=2))
    assert edges == [False, False, True]
    assert not corners[0].any()
    assert (corners[1] != corners[2]).sum() > 20


def test_right_and_wrong_differ_in_brightness():
    """Grey copies of the two frames, by the weights of ITU-R BT.601."""
    right, wrong = (np.dot(ImageColor.getrgb(c), (0.299, 0.587, 0.114)) for c in (RIGHT, WRONG))
    assert abs(right - wrong) > 5


def test_captions_are_written(picture):
    below = picture[GAP + HEIGHT + 2 * FRAME :][:30]
    for column, written in enumerate((True, True, True, False)):
        left = left_of(column)
        assert (below[:, left : left + WIDTH] < 128).any() == written
