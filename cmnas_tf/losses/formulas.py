"""Triplet losses: batch-hard, within and across modalities, and weighted over the batch."""

import tensorflow as tf

from cmnas_tf.losses.loss import at_least_float32


def hard_triplet(
    anchors: tf.Tensor, candidates: tf.Tensor, labels: tf.Tensor, margin: float
) -> tf.Tensor:
    """Batch-hard triplet loss with Euclidean distances (Hermans et al., 2017, eq. 5).

    For each anchor: the distance to its farthest candidate of the same label, minus that to its
    nearest candidate of another label; the mean over anchors of ``max(0, margin + difference)``, or
    of ``log(1 + exp(difference))`` when ``margin`` is negative (soft margin). When anchors and
    candidates are the same rows, an anchor is its own positive candidate, as in the authors' code.

    Args:
      anchors: features, [N, D].
      candidates: features, [N, D]; row i has label ``labels[i]`` too.
      labels: identities, [N] integers; at least two different ones.
      margin: in units of distance; negative for the soft margin.

    Returns:
      The loss, a scalar of at least float32.
    """
    anchors, candidates = at_least_float32(anchors, candidates)
    same = labels[:, None] == labels[None, :]  # [N, N]
    distance = tf.stop_gradient(_squared_distances(anchors, candidates))
    infinity = tf.constant(float("inf"), distance.dtype)
    positive = tf.argmax(tf.where(same, distance, -infinity), axis=1)
    negative = tf.argmin(tf.where(same, infinity, distance), axis=1)
    difference = _distance(anchors, tf.gather(candidates, positive)) - _distance(
        anchors, tf.gather(candidates, negative)
    )  # [N]
    losses = tf.nn.softplus(difference) if margin < 0 else tf.nn.relu(difference + margin)
    return tf.reduce_mean(losses)


def cross_modality_triplet(
    visible: tf.Tensor, infrared: tf.Tensor, labels: tf.Tensor, margin: float
) -> tf.Tensor:
    """Mean of the four batch-hard triplets: v-v, i-i, v-i and i-v (authors' released code).

    Args:
      visible: visible features, [N, D].
      infrared: infrared features, [N, D], same labels in the same order.
      labels: identities, [N] integers.
      margin: see :func:`hard_triplet`.

    Returns:
      The loss, a scalar.
    """
    pairs = ((visible, visible), (infrared, infrared), (visible, infrared), (infrared, visible))
    return tf.add_n([hard_triplet(a, c, labels, margin) for a, c in pairs]) / len(pairs)


def weighted_triplet(features: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Weighted regularised triplet loss (AGW: Ye et al., TPAMI 2021, eq. 13 and 14).

    For each row: the mean of its distances to rows of its label, weighted by their softmax, minus
    that of those to rows of other labels, weighted by the softmax of minus them; the mean over rows
    of ``log(1 + exp(difference))``. The weights are differentiated for, too, and a row is its own
    positive candidate, as in the authors' released code. That adds 1e-6 to sums of ``exp`` of minus
    distances, next to which those of distances well above 14 vanish, and the negatives with them;
    here the softmax is the paper's at any distance (our choice).

    Args:
      features: of both modalities, [N, D].
      labels: identities, [N] integers; at least two different ones.

    Returns:
      The loss, a scalar of at least float32.
    """
    (features,) = at_least_float32(features)
    same = labels[:, None] == labels[None, :]  # [N, N]
    # A distance of 0 has the gradient 0 instead of NaN.
    distances = tf.sqrt(tf.maximum(_squared_distances(features, features), 1e-12))
    infinity = tf.constant(float("inf"), distances.dtype)
    to_same = tf.nn.softmax(tf.where(same, distances, -infinity))
    to_others = tf.nn.softmax(tf.where(same, -infinity, -distances))
    differences = tf.reduce_sum((to_same - to_others) * distances, axis=1)  # [N]
    return tf.cast(tf.reduce_mean(tf.nn.softplus(differences)), features.dtype)


def _squared_distances(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Squared Euclidean distances [N, M] float64.

    The expansion |a|^2 + |b|^2 - 2ab loses the digits of a small distance between large features;
    float64 has enough of them.
    """
    a, b = tf.cast(a, tf.float64), tf.cast(b, tf.float64)
    squares = tf.reduce_sum(a * a, axis=1)[:, None] + tf.reduce_sum(b * b, axis=1)[None, :]
    return squares - 2.0 * tf.matmul(a, b, transpose_b=True)


def _distance(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Row-wise Euclidean distance [N]; where rows coincide it has gradient 0 instead of NaN."""
    return tf.sqrt(tf.maximum(tf.reduce_sum(tf.square(a - b), axis=1), 1e-12))
