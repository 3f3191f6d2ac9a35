"""C3MMD: correlation consistency based class-specific maximum mean discrepancy (CM-NAS)."""

import tensorflow as tf

from cmnas_tf.losses.loss import at_least_float32


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
