"""Image files as a server meets them: looked at before they are decoded, refused with a sentence.

A request is answered as a whole, so one bad file refuses it; the sentence ends with its number.
"""

import tensorflow as tf

from cmnas_tf.data.decode import decode, resize

SMALLEST, LARGEST = 8, 4096  # pixels of a side; our choice
MOST_BYTES = 16 * 2**20  # of a file; our choice

EMPTY = "The batch is empty; it must have at least one image."
KINDS = "An image must be a whole JPEG, PNG or BMP file. This one is none, number"
BYTES = f"An image file must have at most {MOST_BYTES} bytes. Larger is number"
SIDES = f"The sides of an image must be {SMALLEST} to {LARGEST} pixels. Height, width, number:"
CUT = "An image must be a whole file. The header is cut short of number"
CMYK = "A JPEG must be grey or have three colours. Four colours (CMYK) has number"
DEPTH = "A PNG must have at most 8 bits for each colour. 16 bits has number"
ANIMATED = "An image must be a single one. Animated (APNG) is number"

_PNG = b"\x89PNG\r\n\x1a\n"
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

    def read(given: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        encoded, number = given
        with tf.control_dependencies(_checks(encoded, number)):
            return decode(tf.identity(encoded), height, width)

    with tf.control_dependencies([tf.debugging.Assert(count > 0, [EMPTY])]):
        rows = tf.range(count)
    pixels = tf.TensorSpec([height, width, 3], tf.uint8)
    return tf.map_fn(read, (image_bytes, rows), fn_output_signature=pixels)


def read_pixels(pixels: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Resizes ``pixels`` [N, h, w, 3] uint8 as in training -> [N, height, width, 3] uint8.

    Raises:
      tf.errors.InvalidArgumentError: when run on no images, or on ones too small or too large.
    """
    shape = tf.shape(pixels)
    checks = [tf.debugging.Assert(shape[0] > 0, [EMPTY]), _check_sides(shape[1:3], shape[0])]
    with tf.control_dependencies(checks):
        return resize(tf.identity(pixels), height, width)


def _checks(encoded: tf.Tensor, number: tf.Tensor) -> list[tf.Operation]:
    """What must hold of a file, in this order, before it is decoded."""
    length = tf.strings.length(encoded)
    is_png = tf.strings.substr(encoded, 0, len(_PNG)) == _PNG
    is_bmp = tf.strings.substr(encoded, 0, 2) == b"BM"

    def require(condition: tf.Tensor, sentence: str) -> tf.Operation:
        return tf.debugging.Assert(condition, [sentence, number])

    def jpeg() -> tf.Tensor:
        shape = tf.image.extract_jpeg_shape(encoded)
        with tf.control_dependencies([require(shape[2] <= 3, CMYK)]):
            return tf.identity(shape[:2])

    def png() -> tf.Tensor:
        with tf.control_dependencies([require(length >= _PNG_HEADER, CUT)]):
            header = tf.strings.substr(encoded, 0, _PNG_HEADER)
        depth = tf.io.decode_raw(tf.strings.substr(header, 24, 1), tf.uint8)[0]
        # The chunk that announces frames stands before the data of the first one.
        start = tf.strings.split(encoded, "IDAT", maxsplit=1)[0]
        animated = tf.strings.regex_full_match(start, r"(?s)\C*acTL\C*")
        with tf.control_dependencies([require(depth <= 8, DEPTH), require(~animated, ANIMATED)]):
            return _integers(header, 16, little_endian=False)[::-1]

    def bmp() -> tf.Tensor:
        with tf.control_dependencies([require(length >= _BMP_HEADER, CUT)]):
            header = tf.strings.substr(encoded, 0, _BMP_HEADER)
        return tf.abs(_integers(header, 18)[::-1])  # a negative height: from the top down

    known = [
        require(length <= MOST_BYTES, BYTES),
        require(tf.io.is_jpeg(encoded) | is_png | is_bmp, KINDS),
    ]
    with tf.control_dependencies(known):
        sides = tf.cond(is_png, png, lambda: tf.cond(is_bmp, bmp, jpeg))
    return [_check_sides(sides, number)]


def _integers(header: tf.Tensor, position: int, little_endian: bool = True) -> tf.Tensor:
    """Width and height, [2] int32, in the header of a file."""
    return tf.io.decode_raw(tf.strings.substr(header, position, 8), tf.int32, little_endian)


def _check_sides(sides: tf.Tensor, number: tf.Tensor) -> tf.Operation:
    allowed = tf.reduce_all((sides >= SMALLEST) & (sides <= LARGEST))
    return tf.debugging.Assert(allowed, [SIDES, sides, number])
