"""How architecture logits become the weights of a mixture."""

import zlib
from typing import Any, Protocol

import tensorflow as tf


class Relaxation(Protocol):
    """From the logits of one site to the weights of its candidates."""

    def __call__(self, logits: tf.Tensor, site: str) -> tf.Tensor:
        """Weights that are at least 0 and sum to 1, of the shape and dtype of ``logits``."""

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
        noise = -tf.math.log(-tf.math.log(self.uniform(logits, site, self.step)))
        return tf.nn.softmax((logits + noise) / tf.cast(self.temperature, logits.dtype))

    def uniform(self, logits: tf.Tensor, site: str, number: Any) -> tf.Tensor:
        """The draw of that number at a site, above 0 and below 1; shape and dtype of ``logits``."""
        stream = (self.seed * 1_000_003 + zlib.crc32(site.encode())) & 0x7FFFFFFF
        return tf.random.stateless_uniform(
            logits.shape,
            seed=tf.stack([tf.constant(stream, tf.int64), number]),
            minval=1e-20,
            dtype=logits.dtype,
        )

    def prepare(self, step: Any, fraction: Any) -> None:
        """Sets the noise of the pass and the temperature."""
        self.step.assign(tf.cast(step, tf.int64))
        ratio = tf.cast(self.final / self.initial, tf.float32)
        self.temperature.assign(self.initial * tf.pow(ratio, tf.cast(fraction, tf.float32)))


class Gdas(GumbelSoftmax):
    """One candidate alone, drawn; the gradient is that of :class:`GumbelSoftmax` (GDAS).

    The weights are 1 for the largest of :class:`GumbelSoftmax` and 0 for the others, and their
    gradient is that of the soft ones: straight through (Dong and Yang, CVPR 2019). Thus
    a candidate is drawn as often as the softmax of the logits says, at any temperature.

    All candidates are computed, those of weight 0 too. GDAS leaves them out, for speed, and with
    them their part of the gradient. TensorFlow cannot: what it computes conditionally must not move
    variables that replicas share, as the running statistics of batch norms.
    """

    def __call__(self, logits: tf.Tensor, site: str) -> tf.Tensor:
        """See :class:`Relaxation`."""
        soft = super().__call__(logits, site)
        drawn = tf.one_hot(tf.argmax(soft, axis=-1), soft.shape[-1], dtype=soft.dtype)
        # In this order the weights are 0 and 1 exactly.
        return drawn + (soft - tf.stop_gradient(soft))


class Paths(GumbelSoftmax):
    """One candidate alone, whatever it is worth: what a one-shot supernet is trained by.

    Each site draws by itself. Logits count only where they were set to decide, which they do by
    more than the draw's 1.

    Args:
      seed: seed of the draws.
      fair: draw without putting back, so that of as many steps in a row as there are candidates
        each takes one (after FairNAS, Chu et al., ICCV 2021, which updates the weights once for
        all of them; an update each is our choice); else uniformly (SPOS, Guo et al., ECCV 2020).
    """

    def __init__(self, seed: int, fair: bool):
        super().__init__(seed)
        self.fair = fair

    def __call__(self, logits: tf.Tensor, site: str) -> tf.Tensor:
        """See :class:`Relaxation`."""
        candidates = logits.shape[-1]
        block, place = self.step, tf.constant(0, tf.int64)
        if self.fair:
            block, place = self.step // candidates, self.step % candidates
        ranks = tf.argsort(self.uniform(logits, site, block), axis=-1)  # a permutation a block
        drawn = tf.one_hot(tf.gather(ranks, place, axis=-1), candidates, dtype=logits.dtype)
        return tf.one_hot(tf.argmax(logits + drawn, axis=-1), candidates, dtype=logits.dtype)
