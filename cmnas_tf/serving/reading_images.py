"""Image files as a server meets them: looked at before they are decoded, refused with a sentence.

A request is answered as a whole, so one bad file refuses it; the sentence ends with its number.
"""

import tensorflow as tf

from cmnas_tf.data.decode import decode, is_animated, is_turned, resize
from cmnas_tf.serving.signatures import require

SMALLEST, LARGEST = 8, 4096  # pixels of a side; our choice
MOST_BYTES = 16 * 2**20  # of a file; our choice
MOST_SCANS = 64  # of a JPEG, each a pass over all pixels; encoders write about ten; our choice

EMPTY = "The batch is empty; it must have at least one image."
KINDS = "An image must be a whole JPEG, PNG or BMP file. This one is none, number"
BYTES = f"An image file must have at most {MOST_BYTES} bytes. Larger is number"
SIDES = f"The sides of an image must be {SMALLEST} to {LARGEST} pixels. Height, width, number:"
CUT = "An image must be a whole file. The header is cut short of number"
CMYK = "A JPEG must be grey or have three colours. Four colours (CMYK) has number"
TURNED = "An image must be upright, without an EXIF that turns it. Turned is number"
SCANS = f"A JPEG must have at most {MOST_SCANS} scans. More has number"
HEADER = "A PNG must begin with its header (IHDR). Another chunk is first in number"
DEPTH = "A PNG must have at most 8 bits for each colour. 16 bits has number"
ANIMATED = "An image must be a single one. Animated (APNG) is number"

_PNG, _IHDR, _START_OF_SCAN = b"\x89PNG\r\n\x1a\n", b"\x00\x00\x00\x0dIHDR", b"\xff\xda"
_PNG_HEADER, _BMP_HEADER = 33, 54  # bytes


def read_files(image_bytes: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Decodes and resizes image files as in training.

    Args:
      image_bytes: [N] string, N > 0; JPEG, PNG or BMP, of several sizes if need be.
      height, width: size of the result, in pixels.

    Returns:
      [N, height, width, 3] uint8.

    Raises:
      tf.errors.InvalidArgumentError: when run without images, or on a file that is not allowed. Its
        size is read from the header, so that a large image is refused before it is decoded.
    """
    count = tf.shape(image_bytes)[0]
    rows = tf.range(require(count, (count > 0, EMPTY)))

    def read(given: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        return decode(_checked(*given), height, width)

    pixels = tf.TensorSpec([height, width, 3], tf.uint8)
    return tf.map_fn(read, (image_bytes, rows), fn_output_signature=pixels)


def read_pixels(pixels: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Resizes ``pixels`` [N, h, w, 3] uint8 as in training -> [N, height, width, 3] uint8.

    Raises:
      tf.errors.InvalidArgumentError: when run on no images, or on ones too small or too large.
    """
    count, sides = tf.shape(pixels)[0], tf.shape(pixels)[1:3]
    pixels = require(pixels, (count > 0, EMPTY), (_allowed(sides), SIDES, sides, count))
    return resize(pixels, height, width)


def _checked(encoded: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
    """A file, for what may run only if it can be decoded."""
    length = tf.strings.length(encoded)
    is_png = tf.strings.substr(encoded, 0, len(_PNG)) == _PNG
    is_bmp = tf.strings.substr(encoded, 0, 2) == b"BM"
    is_known = tf.io.is_jpeg(encoded) | is_png | is_bmp
    known = require(encoded, (length <= MOST_BYTES, BYTES, number), (is_known, KINDS, number))

    def jpeg() -> tf.Tensor:
        shape = tf.image.extract_jpeg_shape(known)
        # Compressed data never hold the marker; thumbnails have a few of their own.
        scans = tf.size(tf.strings.split(known, _START_OF_SCAN, maxsplit=MOST_SCANS + 1)) - 1
        few = (scans <= MOST_SCANS, SCANS, number)
        return require(shape[:2], (shape[2] <= 3, CMYK, number), few)

    def png() -> tf.Tensor:
        first = (tf.strings.substr(known, len(_PNG), len(_IHDR)) == _IHDR, HEADER, number)
        whole = require(known, (length >= _PNG_HEADER, CUT, number), first)
        depth = tf.io.decode_raw(tf.strings.substr(whole, 24, 1), tf.uint8)[0]
        sides = _integers(whole, 16, little_endian=False)[::-1]
        single = (~is_animated(known), ANIMATED, number)
        return require(sides, (depth <= 8, DEPTH, number), single)

    def bmp() -> tf.Tensor:
        whole = require(known, (length >= _BMP_HEADER, CUT, number))
        return tf.abs(_integers(whole, 18)[::-1])  # a negative height: from the top down

    sides = tf.cond(is_png, png, lambda: tf.cond(is_bmp, bmp, jpeg))
    upright = (~is_turned(known), TURNED, number)
    return require(known, (_allowed(sides), SIDES, sides, number), upright)


def _integers(file: tf.Tensor, position: int, little_endian: bool = True) -> tf.Tensor:
    """Width and height, [2] int32, in the header of a file."""
    return tf.io.decode_raw(tf.strings.substr(file, position, 8), tf.int32, little_endian)


def _allowed(sides: tf.Tensor) -> tf.Tensor:
    return tf.reduce_all((sides >= SMALLEST) & (sides <= LARGEST))
