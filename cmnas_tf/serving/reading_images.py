"""Image files as a server meets them: looked at before they are decoded, refused with a sentence.

A request is answered as a whole, so one bad file refuses it; the sentence ends with its number,
from 0. (A JPEG whose header is damaged, not cut, is refused in its decoder's words, without one.)
"""

import tensorflow as tf

from cmnas_tf.data.decode import Faults, decode, jpeg_faults, other_faults, resize
from cmnas_tf.data.grey16 import Range
from cmnas_tf.serving.signatures import require

SMALLEST, LARGEST = 8, 4096  # pixels of a side; our choice
MOST_BYTES = 16 * 2**20  # of a file; our choice
MOST_SCANS = 64  # of a JPEG, each a pass over all pixels; encoders write about ten; our choice

KINDS = "An image must be a whole JPEG, PNG or BMP file. This one is none, number"
BYTES = f"An image file must have at most {MOST_BYTES} bytes. Larger is number"
SIDES = f"The sides of an image must be {SMALLEST} to {LARGEST} pixels. Height, width, number:"
CUT = "An image must be a whole file. The header is cut short of number"
SCANS = f"A JPEG must have at most {MOST_SCANS} scans. More has number"
HEADER = "A PNG must begin with its header (IHDR). Another chunk is first in number"
FAULT = "An image must not be {}. Such is number"  # what training refuses, in its words
DAMAGED = "An image file must be whole and undamaged. Not so is number"

_PNG, _IHDR, _START_OF_SCAN = b"\x89PNG\r\n\x1a\n", b"\x00\x00\x00\x0dIHDR", b"\xff\xda"
_PNG_HEADER, _BMP_HEADER = 33, 54  # bytes
_AT_A_TIME = 8  # images that are decoded


def read_files(
    files: tf.Tensor, height: int, width: int, max_pixels: int | None = None, grey16: Range = ()
) -> tf.Tensor:
    """Decodes and resizes image files as in training.

    Args:
      files: [N] string, N > 0; JPEG, PNG or BMP, of several sizes if need be.
      height, width: size of the result, in pixels.
      max_pixels: the most that all images together may have; None: any number.
      grey16: how greyscale images of 16 bits are read, see ``Grey16``.

    Returns:
      [N, height, width, 3] uint8.

    Raises:
      tf.errors.InvalidArgumentError: when run on a file that is not allowed, or on too many pixels.
        Sizes are read from the headers, so that nothing is decoded before all are known.
    """
    count = tf.shape(files)[0]
    rows, kinds = tf.range(count), (tf.TensorSpec([], tf.string), tf.TensorSpec([2], tf.int32))
    given = (files, rows)
    files, sides = tf.map_fn(lambda one: _checked(grey16, *one), given, fn_output_signature=kinds)
    files = require(files, *_few(tf.reduce_prod(tf.cast(sides, tf.int64), axis=1), max_pixels))
    # An error of the decoder would not tell the row; a data set passes over it, and it is missed.
    images = tf.data.Dataset.from_tensor_slices((files, rows)).map(
        lambda file, row: (decode(file, height, width, grey16), row), _AT_A_TIME
    )
    end = tf.data.Dataset.from_tensors((tf.zeros([height, width, 3], tf.uint8), -1))
    batch = images.ignore_errors().concatenate(end).batch(tf.cast(count, tf.int64) + 1)
    pixels, found = batch.get_single_element()
    missed = tf.argmax(found != tf.range(tf.size(found)), output_type=tf.int32)
    return require(pixels[:-1], (missed == count, DAMAGED, missed))


def read_pixels(
    pixels: tf.Tensor, height: int, width: int, max_pixels: int | None = None
) -> tf.Tensor:
    """Resizes ``pixels`` [N, h, w, 3] uint8 as in training -> [N, height, width, 3] uint8.

    Raises:
      tf.errors.InvalidArgumentError: when run on images too small or too large, or on more than
        ``max_pixels`` of all together.
    """
    sides, total = tf.shape(pixels)[1:3], tf.size(pixels, tf.int64) // 3
    first = (_allowed(sides), SIDES, sides, 0)
    return resize(require(pixels, first, *_few(total, max_pixels)), height, width)


def _few(pixels: tf.Tensor, most: int | None) -> list[tuple]:
    """A check of the numbers of pixels of a request."""
    total = tf.reduce_sum(pixels)
    said = f"The images of a request must have at most {most} pixels together. They have"
    return [] if most is None else [(total <= most, said, total)]


def _checked(grey16: Range, encoded: tf.Tensor, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """A file, for what may run only if it can be decoded, and its height and width, [2] int32."""
    length = tf.strings.length(encoded)
    is_jpeg, is_png = tf.io.is_jpeg(encoded), tf.strings.substr(encoded, 0, len(_PNG)) == _PNG
    is_known = is_jpeg | is_png | (tf.strings.substr(encoded, 0, 2) == b"BM")
    known = require(encoded, (length <= MOST_BYTES, BYTES, number), (is_known, KINDS, number))

    def taken(sides: tf.Tensor, faults: Faults) -> tf.Tensor:
        return require(sides, *((~is_so, FAULT.format(what), number) for is_so, what in faults))

    def jpeg() -> tf.Tensor:
        # Compressed data never hold the marker; thumbnails have a few of their own.
        scans = tf.size(tf.strings.split(known, _START_OF_SCAN, maxsplit=MOST_SCANS + 1)) - 1
        whole = require(known, (scans > 0, CUT, number), (scans <= MOST_SCANS, SCANS, number))
        return taken(tf.image.extract_jpeg_shape(whole)[:2], jpeg_faults(whole))

    def png() -> tf.Tensor:
        first = tf.strings.substr(known, len(_PNG), len(_IHDR)) == _IHDR
        whole = require(known, (length >= _PNG_HEADER, CUT, number), (first, HEADER, number))
        return _integers(whole, 16, little_endian=False)[::-1]

    def bmp() -> tf.Tensor:
        whole = require(known, (length >= _BMP_HEADER, CUT, number))
        return tf.abs(_integers(whole, 18)[::-1])  # a negative height: from the top down

    def other() -> tf.Tensor:
        return taken(tf.cond(is_png, png, bmp), other_faults(known, grey16))

    sides = tf.cond(is_jpeg, jpeg, other)
    return require((known, sides), (_allowed(sides), SIDES, sides, number))


def _integers(file: tf.Tensor, position: int, little_endian: bool = True) -> tf.Tensor:
    """Width and height, [2] int32, in the header of a file."""
    return tf.io.decode_raw(tf.strings.substr(file, position, 8), tf.int32, little_endian)


def _allowed(sides: tf.Tensor) -> tf.Tensor:
    return tf.reduce_all((sides >= SMALLEST) & (sides <= LARGEST))
