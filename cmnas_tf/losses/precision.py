"""Losses are computed in float32 whatever the network's compute dtype."""

import tensorflow as tf


def at_least_float32(*tensors: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """The tensors as float32, or as they are when they are float64."""
    tensors = tuple(map(tf.convert_to_tensor, tensors))
    return tuple(x if x.dtype == tf.float64 else tf.cast(x, tf.float32) for x in tensors)
