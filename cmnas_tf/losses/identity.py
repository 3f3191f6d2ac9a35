"""Cross entropy over the training identities."""

import tensorflow as tf

from cmnas_tf.losses.loss import at_least_float32


def cross_entropy(logits: tf.Tensor, labels: tf.Tensor, label_smoothing: float = 0.0) -> tf.Tensor:
    """Mean cross entropy of ``softmax(logits)``, with optional label smoothing.

    The target is ``(1 - s) onehot + s / C`` (Szegedy et al., CVPR 2016, section 7).

    Args:
      logits: [N, C].
      labels: [N] integers, 0..C-1.
      label_smoothing: s, 0..1.

    Returns:
      The loss, a scalar.
    """
    (logits,) = at_least_float32(logits)
    log_probabilities = tf.nn.log_softmax(logits)  # [N, C]
    right = tf.reduce_mean(tf.gather(log_probabilities, labels, batch_dims=1))
    return -(1.0 - label_smoothing) * right - label_smoothing * tf.reduce_mean(log_probabilities)
