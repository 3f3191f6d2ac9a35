"""Pad and crop, flip, change colours, normalise, erase: a whole batch at once, a pure function of
(seed, step)."""

import math

import tensorflow as tf

from cmnas_tf.data.augmentation import Augmentation
from cmnas_tf.modality import VISIBLE

MEAN = (0.485, 0.456, 0.406)  # of ImageNet, RGB, after division by 255
STD = (0.229, 0.224, 0.225)

_LUMINANCE = (0.299, 0.587, 0.114)  # of RGB, Rec. 601
_ERASE_ATTEMPTS = 10


def augment(
    augmentation: Augmentation,
    images: tf.Tensor,
    seed: tf.Tensor,
    first_row: tf.Tensor | int,
    rows: int,
    modality: str,
) -> tf.Tensor:
    """Augments and normalises rows of a batch.

    What happens to a row depends on the seed and on its number in the whole batch only, so that a
    batch cut up over devices is augmented as it would be in one piece.

    Args:
      images: [n, H, W, 3] uint8.
      seed: [2] integers, different for each step and modality.
      first_row: number in the whole batch of the first of these rows.
      rows: rows of the whole batch.
      modality: of the images; only ``"visible"`` ones have colours to change.

    Returns:
      [n, H, W, 3] float32, ImageNet-normalised; what was erased is 0, the mean colour (our choice:
      the authors' released code writes the mean itself into the normalised image).
    """
    these = slice(first_row, first_row + tf.shape(images)[0])
    uniform = tf.random.stateless_uniform([rows, 4 + 4 * _ERASE_ATTEMPTS], seed)[these]
    images = _crop_and_flip(augmentation, images, uniform[:, :3])
    # Streams of their own: everything else is drawn the same with them and without.
    if modality == VISIBLE and augmentation.color_jitter:
        of_jitter = tf.random.stateless_uniform([rows, 3], tf.random.fold_in(seed, 3))[these]
        images = _jitter(augmentation.color_jitter, images, of_jitter)
    if modality == VISIBLE and augmentation.grey_probability:
        of_colours = tf.random.stateless_uniform([rows, 2], tf.random.fold_in(seed, 1))[these]
        # Of the whole batch: a sine's last digit may depend on how many are computed at a time.
        mixture = _mixture(tf.random.stateless_uniform([rows, 3], tf.random.fold_in(seed, 2)))
        images = _mix_colours(augmentation, images, of_colours, mixture[these])
    images = normalize(images)
    attempts = tf.reshape(uniform[:, 4:], [-1, _ERASE_ATTEMPTS, 4])
    boxes = _boxes(augmentation, attempts, images.shape[1], images.shape[2])
    return erase(images, tf.where(uniform[:, 3:4] < augmentation.erase_probability, boxes, 0))


@tf.function(autograph=False)  # a loop over images takes long outside a graph
def _crop_and_flip(augmentation: Augmentation, images: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
    height, width, pad = images.shape[1], images.shape[2], augmentation.pad
    offsets = tf.cast(uniform[:, :2] * (2 * pad + 1), tf.int32)  # [n, 2]
    flips = uniform[:, 2] < augmentation.flip_probability
    margins = [[pad, pad], [3 * pad, 3 * pad]]

    # Image by image, pixels and channels in one: whole rows are copied instead of numbers.
    def of_one(number: tf.Tensor) -> tf.Tensor:
        top, left = tf.unstack(offsets[number])
        padded = tf.pad(tf.reshape(images[number], [height, width * 3]), margins)
        cropped = tf.slice(padded, [top, left * 3], [height, width * 3])
        image = tf.reshape(cropped, [height, width, 3])
        return tf.cond(flips[number], lambda: tf.reverse(image, [1]), lambda: image)

    return tf.map_fn(of_one, tf.range(tf.shape(images)[0]), fn_output_signature=images.dtype)


def _jitter(strength: float, images: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
    """Contrast, brightness, then saturation times 1 - strength .. 1 + strength, within 0..255.

    As in the field's programs, but for their random order and their change of hue (our choice).
    """
    factors = 1.0 + strength * (2.0 * uniform - 1.0)  # [n, 3]
    contrast, brightness, saturation = (factors[:, i, None, None, None] for i in range(3))
    # Whole numbers add up exactly, in any order.
    sums = tf.reduce_sum(tf.cast(images, tf.int32), axis=[1, 2], keepdims=True)
    images, places = tf.cast(images, tf.float32), images.shape[1] * images.shape[2]
    mean = _weighted(tf.cast(sums, tf.float32) / places, _LUMINANCE)  # [n, 1, 1, 1]
    images = brightness * (mean + contrast * (images - mean))
    grey = _weighted(images, _LUMINANCE)  # [n, H, W, 1]
    return tf.clip_by_value(grey + saturation * (images - grey), 0.0, 255.0)


def _mixture(uniform: tf.Tensor) -> tf.Tensor:
    """Three numbers of Beta(1/2, 1/2), the law of a squared sine, over their sum; [n, 3]."""
    drawn = tf.square(tf.sin(uniform * (math.pi / 2)))
    return drawn / tf.reduce_sum(drawn, axis=1, keepdims=True)


def _weighted(images: tf.Tensor, weights: tf.Tensor | tuple[float, ...]) -> tf.Tensor:
    """The sum of an image's channels times their weights, [n, H, W, 1]."""
    return tf.reduce_sum(images * weights, axis=-1, keepdims=True)


def _mix_colours(
    augmentation: Augmentation, images: tf.Tensor, uniform: tf.Tensor, mixture: tf.Tensor
) -> tf.Tensor:
    """A weighted sum of an image's channels in the place of all three, or the image as it was.

    Ye et al.'s released code mixes after normalising and erasing, and trains on the mixed image
    beside the one it was made from. Here it takes that one's place, and is normalised like every
    other (our choice).
    """
    exchange = augmentation.channel_exchange_probability
    exchanged = uniform[:, :1] < exchange  # [n, 1]
    greyscale = uniform[:, :1] < exchange + augmentation.greyscale_probability
    mixed = uniform[:, :1] < augmentation.grey_probability
    one_channel = tf.one_hot(tf.cast(uniform[:, 1] * 3, tf.int32), 3)  # [n, 3]
    weights = tf.where(greyscale, tf.constant(_LUMINANCE), mixture)
    weights = tf.where(exchanged, one_channel, weights)[:, None, None]
    images = tf.cast(images, tf.float32)
    return tf.where(mixed[:, None, None], _weighted(images, weights), images)


def _boxes(augmentation: Augmentation, uniform: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Top, left, height, width [n, 4] int32 of the first attempt that fits into the image.

    Area and aspect are uniform (authors' released code), the position is uniform over all that fit.
    Where no attempt fits the box is empty.
    """
    low, high = augmentation.erase_area
    area = (low + (high - low) * uniform[..., 0]) * (height * width)  # [n, attempts]
    aspect = augmentation.erase_aspect
    aspect = aspect + (1.0 / aspect - aspect) * uniform[..., 1]
    h = tf.cast(tf.round(tf.sqrt(area * aspect)), tf.int32)
    w = tf.cast(tf.round(tf.sqrt(area / aspect)), tf.int32)
    fits = (h < height) & (w < width)
    first = tf.argmax(tf.cast(fits, tf.int32), axis=1)
    h, w = tf.where(fits, h, 0), tf.where(fits, w, 0)
    top = tf.cast(uniform[..., 2] * tf.cast(height - h + 1, tf.float32), tf.int32)
    left = tf.cast(uniform[..., 3] * tf.cast(width - w + 1, tf.float32), tf.int32)
    return tf.gather(tf.stack([top, left, h, w], axis=-1), first, axis=1, batch_dims=1)


def erase(images: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
    """Images with zeros in their boxes.

    Args:
      images: [n, H, W, 3] float32.
      boxes: [n, 4] integers: top, left, height, width.
    """
    height, width = images.shape[1:3]
    top, left, h, w = (boxes[:, i, None] for i in range(4))  # [n, 1]
    y, x = tf.range(height), tf.range(width * 3) // 3
    rows = tf.cast((y < top) | (y >= top + h), images.dtype)  # [n, H], 1 beside the box
    columns = tf.cast((x < left) | (x >= left + w), images.dtype)  # [n, W * 3]
    # Pixels and channels in one, so that nothing has to be broadcast over three channels.
    values = tf.reshape(images, [-1, height, width * 3])
    kept = tf.maximum(rows[:, :, None], columns[:, None, :])
    return tf.reshape(values * kept, tf.shape(images))


def normalize(images: tf.Tensor) -> tf.Tensor:
    """[..., W, 3] in 0..255 -> float32, ImageNet mean 0 and standard deviation 1 per channel."""
    mean, std = (
        tf.tile(tf.constant(v, tf.float32) * 255.0, images.shape[-2:-1]) for v in (MEAN, STD)
    )
    # Pixels and channels in one, so that nothing has to be broadcast over three channels.
    rows = tf.cast(tf.reshape(images, [-1, images.shape[-2] * 3]), tf.float32)
    return tf.reshape((rows - mean) / std, tf.shape(images))
