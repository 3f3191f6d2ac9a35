"""The numbers a network is computed in; its variables are float32 in any case."""

import contextlib
import functools
import logging
import timeit
from collections.abc import Iterator

import tensorflow as tf
import tf_keras as keras

logger = logging.getLogger("cmnas_tf")

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


@contextlib.contextmanager
def computed_in(precision: str) -> Iterator[None]:
    """Networks made in the block compute in this precision, wherever they are called.

    Convolutions and the normalisation of feature maps take and give the narrow numbers. Weights,
    batch statistics, mixture weights, the head's outputs, and with them losses and ranking, are
    float32.

    Args:
      precision: ``"float32"``, ``"bfloat16"`` or ``"float16"``.

    Raises:
      ValueError: another one.
    """
    if precision not in POLICIES:
        raise ValueError(f"precision must be one of {tuple(POLICIES)}. Received: {precision!r}")
    if precision == "bfloat16":
        warn_of_bfloat16()
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(POLICIES[precision])
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)


@functools.cache
def bfloat16_pace() -> float:
    """How fast this machine is in bfloat16, in times its pace in float32.

    Measured by a convolution of a ResNet-50's second stage, in a third of a second, since to have
    the instructions says little: AMD's processors with AVX-512 are 1.7 times as fast in a training
    by them, an Intel one without AMX takes 1.6 times as long.
    """

    def seconds(dtype: tf.DType) -> float:
        image, kernel = tf.zeros([8, 32, 16, 128], dtype), tf.zeros([3, 3, 128, 128], dtype)
        convolve = tf.function(lambda: tf.nn.conv2d(image, kernel, 1, "SAME"), autograph=False)
        convolve()
        return min(timeit.repeat(lambda: convolve().numpy(), number=1, repeat=10))

    return seconds(tf.float32) / seconds(tf.bfloat16)


@functools.cache
def warn_of_bfloat16() -> None:
    """Says once what bfloat16 costs here, where it is slower than float32."""
    if (pace := bfloat16_pace()) < 1:
        logger.warning(
            "On this machine a convolution takes %.1f times as long in bfloat16 as in float32. "
            "float32 is faster, and takes twice the memory.",
            1 / pace,
        )
