"""Less memory for more time: a part of a network computed again when its gradient is needed."""

import contextlib
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tf_keras as keras

from cmnas_tf.layers.batch_norm import running_statistics_kept


def rematerialized(layer: keras.layers.Layer, inputs: Mapping[str, Any], **how: Any) -> tf.Tensor:
    """``layer(**inputs, **how)``, of which only the inputs are kept for the backward pass.

    There the layer is called a second time (Chen et al., "Training Deep Nets with Sublinear Memory
    Cost", 2016); the first call alone moves running statistics. The inputs, tensors or nests of
    them, are what is differentiated for, besides the layer's variables.
    """
    calls = iter((contextlib.nullcontext, running_statistics_kept))

    def call(*tensors: tf.Tensor) -> tf.Tensor:
        with next(calls)():
            return layer(**tf.nest.pack_sequence_as(inputs, tensors), **how)

    return tf.recompute_grad(call)(*tf.nest.flatten(inputs))
