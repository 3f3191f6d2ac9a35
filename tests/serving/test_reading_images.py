"""What an exported model takes for an image, and the sentence it refuses anything else with."""

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import ExifTags, Image

from cmnas_tf.data.decode import decode
from cmnas_tf.serving import reading_images
from cmnas_tf.serving.reading_images import LARGEST, MOST_BYTES, SMALLEST

HEIGHT, WIDTH = 32, 16


@pytest.fixture(scope="module")
def read_files():
    spec = [tf.TensorSpec([None], tf.string)]

    @tf.function(autograph=False, input_signature=spec)
    def read(files):
        return reading_images.read_files(files, HEIGHT, WIDTH)

    return lambda *files: read(tf.constant(files, tf.string)).numpy()


def encoded(form="PNG", mode="RGB", size=(HEIGHT, WIDTH), **kwargs):
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, form, **kwargs)
    return stream.getvalue()


def held(orientation):
    """EXIF that says so."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif


def frames(form):
    first, second = (Image.fromarray(np.full((32, 16, 3), n, np.uint8)) for n in (0, 99))
    stream = io.BytesIO()
    first.save(stream, form, save_all=True, append_images=[second])
    return stream.getvalue()


def png_header(width, height, depth=8):
    """A PNG that ends behind its header: nothing in it can be decoded."""
    size = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + size + bytes(4)


def png_behind_another_chunk(width, height):
    """A size of 8 x 8 stands where a header would have it; the decoder reads the header behind."""
    aside = struct.pack(">I", 8) + b"teXt" + struct.pack(">II", 8, 8) + bytes(4)
    begins = png_header(width, height)
    return begins[:8] + aside + begins[8:]


def jpeg_of(width, height):
    """A JPEG whose header tells another size than it has."""
    file = encoded("JPEG")
    frame = file.index(b"\xff\xc0")
    return file[: frame + 5] + struct.pack(">HH", height, width) + file[frame + 9 :]


def bmp_of(width, height):
    file = encoded("BMP")
    return file[:18] + struct.pack("<ii", width, height) + file[26:]


ALLOWED = {
    "jpeg": encoded("JPEG"),
    "progressive": encoded("JPEG", progressive=True),
    "upright jpeg": encoded("JPEG", exif=held(1)),
    "grey jpeg": encoded("JPEG", "L"),
    "png": encoded(),
    "png, alpha": encoded("PNG", "RGBA"),
    "png, palette": encoded("PNG", "P"),
    "bmp": encoded("BMP"),
    "smallest": encoded(size=(SMALLEST, SMALLEST)),
    "longest": encoded(size=(LARGEST, SMALLEST)),
}

KINDS, SIDES, CUT = "whole JPEG, PNG or BMP", "8 to 4096 pixels", "cut short"
DAMAGED = "whole and undamaged"
REFUSED = {
    "nothing": (b"", KINDS),
    "text": (b"not an image", KINDS),
    "gif": (encoded("GIF"), KINDS),
    "animated gif": (frames("GIF"), KINDS),
    "tiff": (encoded("TIFF"), KINDS),
    "webp": (encoded("WEBP"), KINDS),
    "half a jpeg": (encoded("JPEG")[:700], DAMAGED),
    "jpeg, header cut": (encoded("JPEG")[:400], CUT),
    "jpeg, end cut": (encoded("JPEG")[:-2], DAMAGED),
    "half a png": (encoded()[:100], DAMAGED),
    "png, header cut": (encoded()[:30], CUT),
    "half a bmp": (encoded("BMP")[:-1], DAMAGED),
    "bmp, header cut": (encoded("BMP")[:40], CUT),
    "bmp, palette": (encoded("BMP", "P"), "not be a BMP with a palette"),
    "cmyk": (encoded("JPEG", "CMYK"), "not be a JPEG of four colours"),
    "turned": (encoded("JPEG", exif=held(3)), "not be an image that its EXIF turns"),
    "16 bits": (png_header(32, 32, depth=16), "not be a PNG with 16 bits a colour"),
    "apng": (frames("PNG"), "not be a PNG of several images"),
    "1x1": (encoded(size=(1, 1)), rf"{SIDES}.*\[1 1\]"),
    "1x1 jpeg": (encoded("JPEG", size=(1, 1)), SIDES),
    "huge png": (png_header(20_000, 20_000), rf"{SIDES}.*\[20000 20000\]"),
    "huge jpeg": (jpeg_of(20_000, 20_001), rf"{SIDES}.*\[20001 20000\]"),
    "huge bmp": (bmp_of(20_000, -20_000), rf"{SIDES}.*\[20000 20000\]"),
    "huge png, hidden": (png_behind_another_chunk(20_000, 20_000), "must begin with its header"),
    "many scans": (encoded("JPEG")[:-2] + b"\xff\xda\x00\x02" * 64, "at most 64 scans"),
    "negative": (png_header(2**32 - 1, 32), SIDES),
    "long file": (encoded("JPEG") + bytes(MOST_BYTES), "at most 16777216 bytes"),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_images_are_read_as_in_training(read_files, name):
    wanted = decode(ALLOWED[name], HEIGHT, WIDTH)
    np.testing.assert_array_equal(read_files(ALLOWED[name]), wanted[None])


def test_a_batch_of_several_kinds_and_sizes(read_files):
    wanted = [decode(file, HEIGHT, WIDTH) for file in ALLOWED.values()]
    np.testing.assert_array_equal(read_files(*ALLOWED.values()), wanted)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(read_files, name):
    """The sentence tells what is allowed; the number is that of the image in its batch."""
    file, message = REFUSED[name]
    for row, files in ((1, (ALLOWED["png"], file)), (0, (file, ALLOWED["jpeg"], ALLOWED["png"]))):
        with pytest.raises(tf.errors.InvalidArgumentError, match=rf"{message}.*\[{row}\]\n"):
            read_files(*files)


def test_the_first_of_several_damaged_files_is_numbered(read_files):
    damaged, whole = encoded("JPEG")[:700], encoded("JPEG")
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"undamaged.* number\] \[2\]\n"):
        read_files(whole, whole, damaged, whole, damaged)


def test_pixels_are_counted_by_headers_before_anything_is_decoded():
    """The files end behind their headers; 3 x 100 x 90 pixels are 27,000."""
    files = tf.constant([png_header(100, 90)] * 3)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"at most 26999 pixels.*\[27000\]"):
        reading_images.read_files(files, HEIGHT, WIDTH, 26_999)
    with pytest.raises(tf.errors.InvalidArgumentError, match=DAMAGED):
        reading_images.read_files(files, HEIGHT, WIDTH, 27_000)
    pixels = tf.zeros([3, 100, 90, 3], tf.uint8)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"at most 26999 pixels.*\[27000\]"):
        reading_images.read_pixels(pixels, HEIGHT, WIDTH, 26_999)
    assert reading_images.read_pixels(pixels, HEIGHT, WIDTH, 27_000).shape == (3, HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("size", [(1, 1), (0, 9), (9, LARGEST + 1)])
def test_pixels_too_few_or_too_many(size):
    with pytest.raises(tf.errors.InvalidArgumentError, match=SIDES):
        reading_images.read_pixels(tf.zeros([1, *size, 3], tf.uint8), HEIGHT, WIDTH)
