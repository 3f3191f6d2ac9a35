"""Decoding and resizing against Pillow."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from cmnas_tf.data.decode import decode, resize


def photo(height=40, width=24, seed=0):
    """Smooth structures and some noise, so that a resampling of another kind would show."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (5, 4, 3), np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int64)
    return np.clip(smooth + random.integers(-20, 21, smooth.shape), 0, 255).astype(np.uint8)


def encoded(pixels, form, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **options)
    return file.getvalue()


def by_pillow(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def difference(found, expected):
    return abs(np.asarray(found).astype(int) - np.asarray(expected).astype(int))


@pytest.mark.parametrize("form", ["PNG", "BMP"])
def test_lossless_formats_are_decoded_exactly(form):
    pixels = photo()
    np.testing.assert_array_equal(decode(encoded(pixels, form), 40, 24), pixels)


@pytest.mark.parametrize(
    "options",
    [
        {"quality": 95},
        {"quality": 60},
        {"quality": 90, "subsampling": 0},
        {"quality": 90, "subsampling": 2},
        {"quality": 90, "progressive": True},
    ],
)
def test_jpeg_is_decoded_as_by_pillow(options):
    """Within one level, for another version of the same library may round otherwise."""
    data = encoded(photo(), "JPEG", **options)
    assert difference(decode(data, 40, 24), by_pillow(data)).max() <= 1


@pytest.mark.parametrize("form", ["JPEG", "PNG", "BMP"])
def test_one_channel_is_repeated(form):
    data = encoded(photo()[..., 0], form)
    found = decode(data, 40, 24).numpy()
    assert found.shape == (40, 24, 3)
    np.testing.assert_array_equal(found, np.repeat(found[..., :1], 3, axis=-1))
    assert difference(found, by_pillow(data)).max() <= 1


def test_alpha_is_dropped_and_a_palette_looked_up():
    pixels = photo()
    with_alpha = np.dstack([pixels, np.full((40, 24), 9, np.uint8)])
    np.testing.assert_array_equal(decode(encoded(with_alpha, "PNG"), 40, 24), pixels)
    file = io.BytesIO()
    Image.fromarray(pixels).quantize(16).save(file, "PNG")
    np.testing.assert_array_equal(decode(file.getvalue(), 40, 24), by_pillow(file.getvalue()))


@pytest.mark.parametrize(
    ("size", "to"),
    [((90, 47), (32, 16)), ((288, 144), (256, 128)), ((20, 10), (32, 16)), ((64, 10), (32, 16))],
)
def test_resizing_is_pillows_bilinear(size, to):
    """Pillow rounds after each axis, halves up: a level of difference in a fifth of the pixels.
    Without antialiasing the first case differs by tens of levels; cutting the fraction off instead
    of rounding would darken by half a level."""
    pixels = photo(*size)
    expected = Image.fromarray(pixels).resize(to[::-1], Image.Resampling.BILINEAR)
    found = decode(encoded(pixels, "PNG"), *to)
    assert found.shape == (*to, 3)
    assert found.dtype == tf.uint8
    off = np.asarray(found, np.int64) - np.asarray(expected, np.int64)
    assert abs(off).max() <= 1
    assert abs(off).mean() < 0.25
    assert abs(off.mean()) < 0.15


def test_the_right_size_is_left_alone_and_batches_are_resized_alike():
    batch = np.stack([photo(seed=seed) for seed in range(3)])
    np.testing.assert_array_equal(resize(tf.constant(batch), 40, 24), batch)
    found = resize(tf.constant(batch), 16, 8)
    for image, row in zip(batch, found, strict=True):
        np.testing.assert_array_equal(row, resize(tf.constant(image), 16, 8))


def test_one_graph_decodes_every_format_and_size():
    """In a pipeline the function is traced once, for bytes of any kind."""
    data = [
        encoded(photo(30, 20), "JPEG"),
        encoded(photo(16, 8), "PNG"),
        encoded(photo(50, 50)[..., 0], "BMP"),
    ]
    mapped = tf.data.Dataset.from_tensor_slices(data).map(lambda one: decode(one, 16, 8))
    for found, one in zip(mapped, data, strict=True):
        np.testing.assert_array_equal(found, decode(one, 16, 8))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "BMP"])
@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_truncated_files_are_refused(form, kept):
    data = encoded(photo(), form)
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode(data[: int(kept * len(data))], 40, 24)


@pytest.mark.parametrize("data", [b"<!doctype html>", b"\xff\xd8\xff", bytes(100)])
def test_what_is_no_image_is_refused(data):
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode(data, 40, 24)
