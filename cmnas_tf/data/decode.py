"""From the bytes of an image file to a network's pixels; the same in training and serving."""

from contextlib import AbstractContextManager

import tensorflow as tf

PALETTE = "a BMP with a colour palette, which is not looked up; save it as PNG or 24-bit BMP"
BITS = (
    "a GIF, of which there may be several images, or a PNG with 16 bits a colour, of which the "
    "lower 8 would be lost; save it as PNG with 8 bits, all images of a camera scaled alike"
)
CMYK = "a JPEG of four colours (CMYK), which depend on a printer's profile; save it as RGB"


TURNED = "a JPEG that its EXIF turns, and readers do or do not; save it upright, without EXIF"

_HEAD = 256  # bytes, in which cameras write the EXIF tag of the orientation (CIPA DC-008, 0x0112)
_TURNED = (
    r"(?s)\C{2,64}?Exif\x00\x00(?:II\C{6,160}?\x12\x01\x03\x00\x01\x00\x00\x00[\x02-\x08]|"
    r"MM\C{6,160}?\x01\x12\x00\x03\x00\x00\x00\x01\x00[\x02-\x08])\C*"
)
_BITS = r"(?s)GIF8\C*|\CPNG\C{20}\x10"  # the depth of a PNG is its 25th byte


def decode(encoded: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """One JPEG, PNG or BMP, resized: scalar string -> [height, width, 3] uint8, RGB.

    Raises:
      tf.errors.InvalidArgumentError: see :func:`decode_pixels`.
    """
    return resize(decode_pixels(encoded), height, width)


def decode_pixels(encoded: tf.Tensor) -> tf.Tensor:
    """One JPEG, PNG or BMP in the size it has: scalar string -> [h, w, 3] uint8, RGB.

    One channel is repeated.

    Raises:
      tf.errors.InvalidArgumentError: when run on bytes that are not a complete image; on a BMP with
        a colour palette (:data:`PALETTE`), of which TensorFlow gives the palette's numbers; on a
        PNG of 16 bits, of which it gives the upper 8, or a GIF (:data:`BITS`); or on a JPEG that is
        not upright (:data:`TURNED`).
    """

    def others() -> tf.Tensor:
        refused = tf.strings.regex_full_match(tf.strings.substr(encoded, 0, 25), _BITS)
        with _refusing((has_palette(encoded), PALETTE), (refused, BITS)):
            return tf.io.decode_image(encoded, channels=3, expand_animations=False)

    def jpeg() -> tf.Tensor:
        with _refusing((is_turned(encoded), TURNED)):
            # The accurate transform, which is what Pillow and OpenCV use.
            return tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")

    pixels = tf.cond(tf.io.is_jpeg(encoded), jpeg, others)
    pixels.set_shape([None, None, 3])
    return pixels


def _refusing(*faults: tuple[tf.Tensor, str]) -> AbstractContextManager[None]:
    """What is computed in it fails with the words of a fault that is so."""
    # Unlike tf.debugging.Assert it makes no branch, whose nodes cost time.
    return tf.control_dependencies(
        [tf.raw_ops.Assert(condition=tf.logical_not(is_so), data=[said]) for is_so, said in faults]
    )


def is_turned(jpeg: tf.Tensor) -> tf.Tensor:
    """Whether EXIF says that a JPEG's pixels are not upright: scalar string -> scalar bool."""
    return tf.strings.regex_full_match(tf.strings.substr(jpeg, 0, _HEAD), _TURNED)


def has_palette(encoded: tf.Tensor) -> tf.Tensor:
    """Whether this is a BMP whose pixels are numbers of colours, other than grey number n for n."""

    def number(position: int, form: tf.DType) -> tf.Tensor:
        return tf.io.decode_raw(tf.strings.substr(encoded, position, form.size), form)[0]

    def of_bmp() -> tf.Tensor:
        bits = number(28, tf.uint16)  # of a pixel
        return tf.cond((bits > 0) & (bits <= 8), lambda: (bits < 8) | coloured(), lambda: False)

    def coloured() -> tf.Tensor:
        start = 14 + number(14, tf.int32)  # behind the headers of the file and of the image
        colours = tf.strings.substr(encoded, start, number(10, tf.int32) - start)
        colours = tf.reshape(tf.io.decode_raw(colours, tf.uint8), [-1, 4])[:, :3]  # B, G, R
        greys = tf.range(tf.shape(colours)[0])[:, None]
        return tf.reduce_any(tf.cast(colours, tf.int32) != greys)

    is_bmp = tf.strings.substr(encoded, 0, 2) == "BM"
    return tf.cond(is_bmp, of_bmp, lambda: False)


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
