"""From the bytes of an image file to a network's pixels; the same in training and serving."""

from contextlib import AbstractContextManager
from functools import partial

import numpy as np
import tensorflow as tf

from cmnas_tf.data.grey16 import Range

OTHER = "a GIF or WebP, whatever its name says; save it as PNG"
BITS = (
    "a PNG with 16 bits a colour; train with `grey16_range` where it is greyscale, or save it with "
    "8 bits, all images of a camera scaled alike"
)
ANIMATED = "a PNG of several images (APNG); save one of them"
CMYK = "a JPEG of four colours (CMYK), which depend on a profile; save it as RGB"
TURNED = "an image that its EXIF turns, and readers do or do not; save it upright, without EXIF"
PALETTE = "a BMP with a palette, masks of its own or compressed; save it as PNG"
REFUSALS = (OTHER, BITS, ANIMATED, CMYK, TURNED, PALETTE)
Faults = list[tuple[tf.Tensor, str]]  # whether a file is so, and one of the refusals

_HEAD = 4096  # bytes, in which writers put what is looked for
# The tag of the orientation (CIPA DC-008, 0x0112), in a segment of a JPEG or a chunk of a PNG.
_TURNED = (
    r"\C*(?:Exif\x00\x00|eXIf)(?:II\C{6,160}?\x12\x01\x03\x00\x01\x00\x00\x00[\x02-\x08]|"
    r"MM\C{6,160}?\x01\x12\x00\x03\x00\x00\x00\x01\x00[\x02-\x08])"
)
_FRAMES = r"\C*\x00\x00\x00\x08acTL"  # a chunk that announces them
_DEEP = r"\CPNG\C{20}\x10"  # the depth is the 25th byte; behind it, 0 is greyscale
# Length of the second header, bits of a pixel, compression: none, or masks as they are without.
_BMP = r"BM\C{12}[\x28-\x7f]\x00{3}\C{10}"
_COLOURED_BMP = (
    _BMP + r"[\x18\x20]\x00(?:\x00{4}|\x03\x00{3}\C{20}\x00{2}\C\x00{2}\C\x00{2}\C\x00{3})"
)


def decode(encoded: tf.Tensor, height: int, width: int, grey16: Range = ()) -> tf.Tensor:
    """One JPEG, PNG or BMP, resized: scalar string -> [height, width, 3] uint8, RGB.

    Raises:
      tf.errors.InvalidArgumentError: see :func:`decode_pixels`.
    """
    return resize(decode_pixels(encoded, grey16), height, width)


def decode_pixels(encoded: tf.Tensor, grey16: Range = ()) -> tf.Tensor:
    """One JPEG, PNG or BMP in the size it has: scalar string -> [h, w, 3] uint8, RGB.

    One channel is repeated; alpha is dropped. What a file is called does not matter. A greyscale
    PNG of 16 bits is read by the range ``grey16``, see ``Grey16``; without one it is refused.

    Raises:
      tf.errors.InvalidArgumentError: when run on bytes that are not a complete image, or on an
        image that TensorFlow reads otherwise than other programs: one of ``REFUSALS`` says why.
        EXIF and the announcement of frames are looked for in the first 4096 bytes.
    """

    def others() -> tf.Tensor:
        with _refusing(other_faults(encoded, grey16)):
            image = partial(tf.io.decode_image, encoded, channels=3, expand_animations=False)
            if not grey16:
                return image()
            return tf.cond(_begins(encoded, _DEEP), lambda: _scaled(encoded, *grey16), image)

    def jpeg() -> tf.Tensor:
        with _refusing(jpeg_faults(encoded)):
            # The accurate transform, which is what Pillow and OpenCV use.
            return tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")

    pixels = tf.cond(tf.io.is_jpeg(encoded), jpeg, others)
    pixels.set_shape([None, None, 3])
    return pixels


def _scaled(png: tf.Tensor, low: int, high: int) -> tf.Tensor:
    """A greyscale PNG of 16 bits by the rule of ``Grey16``: scalar string -> [h, w, 3] uint8."""
    above, span = np.clip(np.arange(2**16), low, high) - low, high - low
    scaled = (510 * above + span) // (2 * span)  # 255 * above / span, rounded, halves up
    # A table takes few nodes, and other images wait for those of a branch that is not theirs.
    values = tf.cast(tf.io.decode_png(png, channels=1, dtype=tf.uint16), tf.int32)
    return tf.tile(tf.gather(tf.constant(scaled, tf.uint8), values), [1, 1, 3])


def jpeg_faults(jpeg: tf.Tensor) -> Faults:
    """What a JPEG may be that other programs read otherwise: scalar string -> scalar bools."""
    colours = tf.image.extract_jpeg_shape(jpeg)[2]
    return [(colours > 3, CMYK), (_begins(jpeg, _TURNED), TURNED)]


def other_faults(encoded: tf.Tensor, grey16: Range = ()) -> Faults:
    """What any other file may be: scalar string -> scalar bools."""
    return [
        (_begins(encoded, r"GIF8|RIFF"), OTHER),
        (_begins(encoded, _DEEP + (r"[\x02-\x06]" if grey16 else "")), BITS),
        (_begins(encoded, _FRAMES), ANIMATED),
        (_begins(encoded, _TURNED), TURNED),
        (_has_palette(encoded), PALETTE),
    ]


def _refusing(faults: Faults) -> AbstractContextManager[None]:
    """What is computed in it fails with the words of a fault that is so."""
    # Unlike tf.debugging.Assert it makes no branch, whose nodes cost time.
    return tf.control_dependencies(
        [tf.raw_ops.Assert(condition=tf.logical_not(is_so), data=[said]) for is_so, said in faults]
    )


def _begins(encoded: tf.Tensor, pattern: str) -> tf.Tensor:
    head = tf.strings.substr(encoded, 0, _HEAD)
    return tf.strings.regex_full_match(head, rf"(?s)(?:{pattern})\C*")


def _has_palette(encoded: tf.Tensor) -> tf.Tensor:
    """Whether this is a BMP whose pixels are other than colours, or grey number n for n."""

    def number(position: int) -> tf.Tensor:
        return tf.io.decode_raw(tf.strings.substr(encoded, position, 4), tf.int32)[0]

    def coloured() -> tf.Tensor:
        start = 14 + number(14)  # behind the headers of the file and of the image
        colours = tf.strings.substr(encoded, start, number(10) - start)
        colours = tf.reshape(tf.io.decode_raw(colours, tf.uint8), [-1, 4])[:, :3]  # B, G, R
        greys = tf.range(tf.shape(colours)[0])[:, None]
        return tf.reduce_any(tf.cast(colours, tf.int32) != greys)

    def of_bmp() -> tf.Tensor:
        numbered = _begins(encoded, _BMP + r"\x08\x00{5}")
        return tf.cond(numbered, coloured, lambda: ~_begins(encoded, _COLOURED_BMP))

    return tf.cond(_begins(encoded, r"BM\C{52}"), of_bmp, lambda: tf.constant(False))


def resize(pixels: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Bilinear with antialiasing, like Pillow: [..., h, w, 3] -> [..., height, width, 3], uint8."""

    def resized() -> tf.Tensor:
        # What tf.image.resize does, but one axis at a time, with the other one among the channels:
        # the same sums in the same order, and several times as fast, because three channels are
        # few. In between, rows become columns, as one matrix and as integers: three numbers at a
        # time, or as floating-point numbers, they are transposed more slowly.
        shape = tf.shape(pixels)
        h, w = shape[-3], shape[-2]
        rows = _resize_rows(tf.reshape(pixels, [-1, h, 1, w * 3]), height)
        rows = tf.bitcast(tf.reshape(rows, [-1, height, w * 3]), tf.int32)
        columns = tf.bitcast(tf.linalg.matrix_transpose(rows), tf.float32)
        both = _resize_rows(tf.reshape(columns, [-1, w, 1, 3 * height]), width)
        both = tf.reshape(tf.cast(tf.round(both), tf.uint8), [-1, width * 3, height])
        both = tf.linalg.matrix_transpose(both)
        return tf.reshape(both, tf.concat([shape[:-3], [height, width, 3]], axis=0))

    size = tf.shape(pixels)[-3:-1]
    fits = tf.reduce_all(size == [height, width])
    pixels = tf.cond(fits, lambda: pixels, resized)
    return tf.ensure_shape(pixels, [*pixels.shape[:-3], height, width, 3])


def _resize_rows(rows: tf.Tensor, size: int) -> tf.Tensor:
    """[N, n, 1, C] -> [N, size, 1, C] float32."""
    scale = tf.stack([size / tf.cast(tf.shape(rows)[1], tf.float32), 1.0])
    return tf.raw_ops.ScaleAndTranslate(
        images=rows,
        size=[size, 1],
        scale=scale,
        translation=[0.0, 0.0],
        kernel_type="triangle",
        antialias=True,
    )
