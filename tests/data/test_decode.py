"""Decoding and resizing against Pillow."""

import io
import re
import struct

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cmnas_tf.data.decode import BITS, OTHER, PALETTE, TURNED, decode, decode_pixels, resize


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


def test_alpha_is_dropped_and_a_palette_of_png_looked_up():
    pixels = photo()
    with_alpha = np.dstack([pixels, np.full((40, 24), 9, np.uint8)])
    np.testing.assert_array_equal(decode(encoded(with_alpha, "PNG"), 40, 24), pixels)
    file = io.BytesIO()
    Image.fromarray(pixels).quantize(16).save(file, "PNG")
    np.testing.assert_array_equal(decode(file.getvalue(), 40, 24), by_pillow(file.getvalue()))


@pytest.mark.parametrize("eagerly", [True, False])
def test_what_would_lose_bits_or_images_is_refused(eagerly):
    """Sixteen bits of grey or of colour; a GIF, under whatever name."""
    deep = np.arange(96, dtype=np.uint16).reshape(12, 8) * 600
    read = decode if eagerly else tf.function(decode, autograph=False)
    for pixels, form, why in ((deep, "PNG", BITS), (photo(), "GIF", OTHER)):
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, form)
        with pytest.raises(tf.errors.InvalidArgumentError, match=re.escape(why)):
            read(stream.getvalue(), 8, 8)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"], ids=["little endian", "big endian"])
def test_what_exif_turns_is_refused(orientation, order):
    """Behind the tags of image width and maker, as a camera writes them, and a JFIF segment."""
    tags = [(0x0100, 3, 64), (0x010F, 2, 8), (0x0112, 3, orientation), (0x0128, 3, 2)]
    entries = b"".join(
        struct.pack(f"{order}HHI", tag, kind, 1) + struct.pack(f"{order}Hxx", value)
        for tag, kind, value in tags
    )
    mark = b"II" if order == "<" else b"MM"
    tiff = mark + struct.pack(f"{order}HIH", 42, 8, len(tags)) + entries + bytes(4)
    file = encoded(photo(), "JPEG", exif=b"Exif\0\0" + tiff)
    assert Image.open(io.BytesIO(file)).getexif()[0x0112] == orientation
    if orientation == 1:
        np.testing.assert_array_equal(decode_pixels(file).shape, photo().shape)
        return
    with pytest.raises(tf.errors.InvalidArgumentError, match=re.escape(TURNED)):
        decode_pixels(file)


@pytest.mark.parametrize("colours", [2, 16, 256])
def test_a_palette_of_bmp_is_refused(colours):
    """TensorFlow would give its numbers; in a pipeline it is said as well."""
    file = io.BytesIO()
    Image.fromarray(photo()).quantize(colours).save(file, "BMP")
    with pytest.raises(tf.errors.InvalidArgumentError, match=PALETTE):
        decode(file.getvalue(), 40, 24)
    with pytest.raises(tf.errors.InvalidArgumentError, match=PALETTE):
        list(tf.data.Dataset.from_tensors(file.getvalue()).map(lambda one: decode(one, 40, 24)))


@pytest.mark.parametrize("bits", [1, 4])
def test_a_palette_of_few_bits_is_refused_even_if_it_is_grey(bits):
    """A pixel is part of a byte, which TensorFlow does not take apart."""
    with pytest.raises(tf.errors.InvalidArgumentError, match=PALETTE):
        decode(bmp(bits, [0, 255], bytes(4)), 1, 8)


def test_a_grey_palette_must_be_in_order():
    """Pixel 1 of a palette that begins with white is black."""
    pixels = bytes([0, 1, 2, 3])
    found = decode(bmp(8, range(256), pixels), 1, 4).numpy()
    assert found[..., 0].tolist() == [[0, 1, 2, 3]]
    np.testing.assert_array_equal(found, by_pillow(bmp(8, range(256), pixels)))
    with pytest.raises(tf.errors.InvalidArgumentError, match=PALETTE):
        decode(bmp(8, range(255, -1, -1), pixels), 1, 4)


def bmp(bits, greys, row):
    """A BMP of one row of pixels whose palette is of greys."""
    palette = b"".join(bytes([grey, grey, grey, 0]) for grey in greys)
    begin = 14 + 40 + len(palette)
    size = (len(row) * 8 // bits, 1, 1, bits, 0, len(row), 0, 0, len(greys), 0)
    headers = b"BM" + struct.pack("<IHHI", begin + len(row), 0, 0, begin)
    return headers + struct.pack("<IiiHHIIiiII", 40, *size) + palette + row


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


@settings(deadline=None, max_examples=60)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 60),
    to=st.sampled_from([(32, 16), (24, 24), (7, 3), (64, 1)]),
    seed=st.integers(0, 99),
)
def test_resizing_is_tensorflows_to_the_last_bit(height, width, to, seed):
    """One axis after the other gives the sums that ``tf.image.resize`` gives for both at once."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    expected = tf.cast(tf.image.resize(pixels, to, "bilinear", antialias=True), tf.float32)
    expected = tf.cast(tf.round(tf.clip_by_value(expected, 0.0, 255.0)), tf.uint8)
    np.testing.assert_array_equal(resize(tf.constant(pixels), *to), expected)


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
