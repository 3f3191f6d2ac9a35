"""Whom do images show? The search in a gallery, as part of the exported model."""

import numpy as np
import tensorflow as tf

from cmnas_tf.serving.gallery import Gallery
from cmnas_tf.serving.signatures import of_rows, require

# Float32 sums of 2,048 products differ by 1e-7 with their order; that many entries more are summed
# again in float64, and rounded: equal entries get equal scores.
_MARGIN = 16


class Identification(tf.Module):
    """A gallery that answers in a graph what :meth:`Gallery.search` answers outside.

    Attributes:
      embeddings: [G, D] float32; a variable, because constants of a graph end at 2 GB.

    Args:
      gallery: with at least one entry.
    """

    def __init__(self, gallery: Gallery):
        super().__init__()
        self.embeddings = tf.Variable(gallery.embeddings, trainable=False)
        self._known, numbers = np.unique(gallery.cameras, return_inverse=True)
        self._numbers = numbers.astype(np.int32)  # [G] of ``_known``
        self._ids = gallery.ids

    def __call__(self, embedding: tf.Tensor, camera: tf.Tensor, k: tf.Tensor) -> dict:
        """The ``k`` best matches of each row; of equal ones, the gallery's first.

        Args:
          embedding: [N, D] float32, rows of norm 1.
          camera: of the queries, [N] string: entries of that camera are left out; "" and a camera
            that the gallery does not have leave out none.
          k: [N] int32, how many to answer.

        Returns:
          ``ids``, ``cameras`` [N, K] string and ``scores`` [N, K] float32, best first, where K is
          the largest k; ``count`` [N] int32 of them are answers, the k of the row, and behind them
          stand "" and 0.

        Raises:
          tf.errors.InvalidArgumentError: when run with a ``k`` for which there are not enough
            entries.
        """
        scores = tf.matmul(embedding, self.embeddings, transpose_b=True)  # [N, G]
        # A camera is a number here; "" and unknown ones are -1, which no entry has.
        is_known = (camera[:, None] == tf.constant(self._known)) & (camera != "")[:, None]
        number = tf.where(
            tf.reduce_any(is_known, axis=1), tf.argmax(is_known, axis=1, output_type=tf.int32), -1
        )
        left_out = number[:, None] == tf.constant(self._numbers)  # [N, G]
        scores = tf.where(left_out, -np.inf, scores)
        entries = tf.reduce_sum(tf.cast(~left_out, tf.int32), axis=1)
        said = "k must be 1 to the number of gallery entries that may be answered. Row, k, entries:"
        k = require(k, of_rows((k >= 1) & (k <= entries), said, k, entries))
        best, found = self._ordered(embedding, scores, tf.reduce_max(k))
        is_answer = tf.sequence_mask(k)  # [N, K]
        cameras = tf.gather(tf.constant(self._known), tf.gather(self._numbers, best))
        return {
            "ids": tf.where(is_answer, tf.gather(tf.constant(self._ids), best), ""),
            "cameras": tf.where(is_answer, cameras, ""),
            "scores": tf.where(is_answer, found, 0.0),
            "count": k,
        }

    def _ordered(self, embedding: tf.Tensor, scores: tf.Tensor, k: tf.Tensor) -> tuple:
        """The rows of the best entries and their scores, [N, k] each, by the exact scores."""
        looked_at = tf.minimum(k + _MARGIN, tf.shape(scores)[1])

        def of_query(given: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
            query, row = given
            candidates = tf.sort(tf.math.top_k(row, looked_at).indices)
            rows = tf.cast(tf.gather(self.embeddings, candidates), tf.float64)  # [k + 16, D]
            exact = tf.reduce_sum(rows * tf.cast(query, tf.float64), axis=1)
            exact = tf.cast(exact, tf.float32)
            exact = tf.where(tf.math.is_inf(tf.gather(row, candidates)), -np.inf, exact)
            found, places = tf.math.top_k(exact, k)  # of equal ones the first
            return tf.gather(candidates, places), found

        kinds = (tf.TensorSpec([None], tf.int32), tf.TensorSpec([None], tf.float32))
        return tf.map_fn(of_query, (embedding, scores), fn_output_signature=kinds)
