"""The losses as functions of tensors; ``published`` and ``baselines`` make terms of them.

Cross entropy over the identities; triplets, batch-hard within and across modalities and weighted
over the batch; and C3MMD, correlation consistency based class-specific maximum mean discrepancy
(CM-NAS).
"""

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


def correlation_consistency(visible: tf.Tensor, infrared: tf.Tensor) -> tf.Tensor:
    """How differently the two modalities relate the same samples to each other.

    The Gram matrix of each modality's embeddings, rows L2-normalised; the mean squared difference
    of the two (similarity-preserving distillation, Tung and Mori, ICCV 2019, between modalities;
    authors' released code).

    Args:
      visible: un-normalised embeddings, [N, D].
      infrared: un-normalised embeddings of the same identities in the same order, [N, D].

    Returns:
      The loss, a scalar, >= 0.
    """
    visible, infrared = at_least_float32(visible, infrared)
    grams = [tf.matmul(x, x, transpose_b=True) for x in (visible, infrared)]  # [N, N]
    # The bound is that of torch.nn.functional.normalize: 1e-12 on the norm, squared here.
    visible_gram, infrared_gram = (tf.math.l2_normalize(g, axis=1, epsilon=1e-24) for g in grams)
    return tf.reduce_mean(tf.square(visible_gram - infrared_gram))


def class_mmd(visible: tf.Tensor, infrared: tf.Tensor, images_per_identity: int) -> tf.Tensor:
    """Class-specific maximum mean discrepancy between the modalities.

    Embeddings are L2-normalised; for each identity, the biased squared MMD (Gretton et al., JMLR
    2012, eq. 5) with kernel ``k(a, b) = (a . b)^2`` between its visible and its infrared rows; the
    mean over identities (authors' released code).

    Args:
      visible: embeddings, [P * K, D], the K rows of an identity next to each other.
      infrared: embeddings, [P * K, D], in the same order.
      images_per_identity: K.

    Returns:
      The loss, a scalar, >= 0.

    Raises:
      ValueError: K does not divide the number of rows.
    """
    rows = visible.shape[0]
    if images_per_identity < 1 or (rows is not None and rows % images_per_identity):
        raise ValueError(
            "images_per_identity must divide the number of rows. "
            f"Received: images_per_identity={images_per_identity}, rows={rows}"
        )
    visible, infrared = (
        tf.reshape(
            tf.math.l2_normalize(x, axis=1, epsilon=1e-24), [-1, images_per_identity, x.shape[-1]]
        )
        for x in at_least_float32(visible, infrared)
    )  # [P, K, D]

    def kernel_mean(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(tf.square(tf.matmul(a, b, transpose_b=True)), axis=[1, 2])  # [P]

    return tf.reduce_mean(
        kernel_mean(visible, visible)
        + kernel_mean(infrared, infrared)
        - 2.0 * kernel_mean(visible, infrared)
    )


@tf.function(autograph=False)
def c3mmd(
    visible: tf.Tensor,
    infrared: tf.Tensor,
    images_per_identity: int,
    mmd_weight: float = 0.05,
    correlation_weight: float = 5.0,
) -> tf.Tensor:
    """C3MMD = ``mmd_weight`` class-specific MMD + ``correlation_weight`` correlation consistency.

    Args:
      visible: un-normalised embeddings, [P * K, D], the K rows of an identity next to each other.
      infrared: un-normalised embeddings, [P * K, D], in the same order.
      images_per_identity: K.
      mmd_weight: weight of :func:`class_mmd` (default: authors' released code).
      correlation_weight: weight of :func:`correlation_consistency` (default: authors' code).

    Returns:
      The loss, a scalar, >= 0.
    """
    return mmd_weight * class_mmd(
        visible, infrared, images_per_identity
    ) + correlation_weight * correlation_consistency(visible, infrared)
