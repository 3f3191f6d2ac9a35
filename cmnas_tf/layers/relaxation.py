"""How architecture logits become the weights of a mixture."""

import zlib
from typing import Any, Protocol

import tensorflow as tf


class Relaxation(Protocol):
    """From the logits of one site to the weights of its candidates."""

    def __call__(self, logits: tf.Tensor, site: str) -> tf.Tensor:
        """Weights that are positive and sum to 1, of the shape of ``logits``."""

    def prepare(self, step: Any, fraction: Any) -> None:
        """Called before the forward pass number ``step``, ``fraction`` 0..1 into the search."""


class Softmax:
    """The softmax of the logits (DARTS, Liu et al., ICLR 2019, eq. 2)."""

    def __call__(self, logits: tf.Tensor, site: str) -> tf.Tensor:
        """See :class:`Relaxation`."""
        return tf.nn.softmax(logits)

    def prepare(self, step: Any, fraction: Any) -> None:
        """Nothing changes from step to step."""


class GumbelSoftmax(tf.Module):
    """The softmax of (logits + Gumbel noise) / temperature (Jang et al., ICLR 2017, eq. 2).

    The noise is a pure function of (seed, site, forward pass). The temperature falls
    geometrically from ``initial`` to ``final`` over the search (our choice).

    Args:
      seed: seed of the noise.
      initial: temperature at the start, > 0.
      final: temperature at the end, > 0.
    """

    def __init__(self, seed: int, initial: float = 5.0, final: float = 0.5):
        super().__init__(name="gumbel_softmax")
        self.seed = seed
        self.initial = initial
        self.final = final
        self.temperature = tf.Variable(initial, trainable=False, dtype=tf.float32)
        self.step = tf.Variable(0, trainable=False, dtype=tf.int64)

    def __call__(self, logits: tf.Tensor, site: str) -> tf.Tensor:
        """See :class:`Relaxation`."""
        stream = (self.seed * 1_000_003 + zlib.crc32(site.encode())) & 0x7FFFFFFF
        uniform = tf.random.stateless_uniform(
            logits.shape, seed=tf.stack([tf.constant(stream, tf.int64), self.step]), minval=1e-20
        )
        noise = -tf.math.log(-tf.math.log(uniform))
        return tf.nn.softmax((logits + tf.cast(noise, logits.dtype)) / self.temperature)

    def prepare(self, step: Any, fraction: Any) -> None:
        """Sets the noise of the pass and the temperature."""
        self.step.assign(tf.cast(step, tf.int64))
        ratio = tf.cast(self.final / self.initial, tf.float32)
        self.temperature.assign(self.initial * tf.pow(ratio, tf.cast(fraction, tf.float32)))
