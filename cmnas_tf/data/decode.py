"""From the bytes of an image file to a network's pixels; the same in training and serving."""

import tensorflow as tf


def decode(encoded: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Decodes one JPEG, PNG or BMP and resizes it.

    Args:
      encoded: scalar string.
      height, width: size of the result, in pixels.

    Returns:
      [height, width, 3] uint8, RGB; an image with one channel is repeated.

    A BMP with a colour palette is not supported: TensorFlow gives the palette's numbers.

    Raises:
      tf.errors.InvalidArgumentError: when run on bytes that are no complete image.
    """
    pixels = tf.cond(
        tf.io.is_jpeg(encoded),
        # The accurate transform, which is what Pillow and OpenCV use.
        lambda: tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_image(encoded, channels=3, expand_animations=False),
    )
    pixels.set_shape([None, None, 3])
    return resize(pixels, height, width)


def resize(pixels: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Bilinear with antialiasing, like Pillow: [..., h, w, 3] -> [..., height, width, 3], uint8."""

    def resized() -> tf.Tensor:
        values = tf.image.resize(pixels, [height, width], "bilinear", antialias=True)
        return tf.cast(tf.round(tf.clip_by_value(values, 0.0, 255.0)), tf.uint8)

    size = tf.shape(pixels)[-3:-1]
    fits = tf.reduce_all(size == [height, width])
    pixels = tf.cond(fits, lambda: pixels, resized)
    return tf.ensure_shape(pixels, [*pixels.shape[:-3], height, width, 3])
