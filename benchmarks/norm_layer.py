"""The mixed normalisation alone, forward and backward, on a feature map of ResNet-50's stage 1."""

from collections.abc import Callable

import tensorflow as tf

from benchmarks.naive_norm import NaiveMixedNorm
from cmnas_tf.layers import MixedModalityNorm
from cmnas_tf.modality import Rows

SHAPE = (16, 64, 32, 256)
_REPEATS = 10  # of one run, which would be over too soon to be timed


def fused() -> Callable[[], None]:
    """As the package has it."""
    return _forward_and_backward(MixedModalityNorm(name="mixed"))


def naive() -> Callable[[], None]:
    """As three batch norms."""
    return _forward_and_backward(NaiveMixedNorm(name="mixed"))


def _forward_and_backward(layer) -> Callable[[], None]:
    half = SHAPE[0] // 2
    rows = Rows({"visible": half, "infrared": half})
    x, dy = tf.random.stateless_normal(SHAPE, [0, 0]), tf.random.stateless_normal(SHAPE, [0, 1])
    layer(x, rows=rows, training=True)

    @tf.function
    def run(x, dy):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, rows=rows, training=True)
        return tape.gradient(y, [x, *layer.trainable_variables], dy)

    def repeat() -> None:
        for _ in range(_REPEATS):
            gradients = run(x, dy)
        gradients[-1].numpy()

    return repeat
