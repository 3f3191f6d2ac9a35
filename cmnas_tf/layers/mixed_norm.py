"""The normalisation of the supernet: a weighted mixture of separate and shared."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf
import tf_keras as keras

from cmnas_tf.layers.modality_norm import Branches
from cmnas_tf.layers.relaxation import Relaxation, Softmax
from cmnas_tf.layers.statistics import Statistics, affine
from cmnas_tf.modality import MODALITIES, Rows


@keras.utils.register_keras_serializable("cmnas_tf")
class MixedModalityNorm(Branches):
    """Separate and shared batch norm at once, mixed by trainable logits.

    ``out = w[0] separate(x) + w[1] shared(x)`` with ``w = relaxation(architecture_logits)``: the
    batch norms' *outputs* are mixed (our choice; the search was never released).

    Computed as one affine map: per channel and modality the mixture of the two outputs is
    ``x (w0 g_m / s_m + w1 g_s / s_s) + const``, and the shared statistics follow from those of the
    modalities, so each modality's rows are read once for their moments and once to be mapped,
    whatever is mixed.

    Attributes:
      architecture_logits: [2] float32, (separate, shared), 0 at the start.
      visible, infrared, shared: the three :class:`BatchNorm`.

    Args:
      relaxation: how the logits become mixture weights; softmax when not given.
      synchronized, affine: see :class:`BatchNorm`.
    """

    def __init__(
        self,
        relaxation: Relaxation | None = None,
        synchronized: bool = False,
        affine: bool = True,
        **kwargs: Any,
    ):
        super().__init__((*MODALITIES, "shared"), synchronized, affine, **kwargs)
        self.relaxation = relaxation or Softmax()

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates the logits and builds the three batch norms."""
        self.architecture_logits = self.add_weight(
            "architecture_logits", (2,), initializer="zeros", experimental_autocast=False
        )
        super().build(input_shape)

    def call(self, x: tf.Tensor, rows: Rows, training: bool = False) -> tf.Tensor:
        """Normalises ``x`` [rows, H, W, C], visible rows first."""
        weights = self.relaxation(self.architecture_logits, self.name)
        parts = rows.split(x)
        norms = [self.branches()[name] for name in parts]
        if training:
            own = [norm.batch(part) for norm, part in zip(norms, parts.values(), strict=True)]
            both = Statistics.of_union(own)
            shares = [part.size / both.size for part in own]
            for norm, statistics in zip((*norms, self.shared), (*own, both), strict=True):
                norm.update(statistics.mean, statistics.unbiased_variance)
        else:
            own = [norm.running() for norm in norms]
            both = self.shared.running()
            shares = [0.0] * len(own)
        # A supernet has so many sites that its graph is kept small: the modalities are stacked.
        separate = Parameters(tf.stack([n.gamma for n in norms]), tf.stack([n.beta for n in norms]))
        shared = Parameters(*map(tf.convert_to_tensor, (self.shared.gamma, self.shared.beta)))
        scale, offset = mixture(
            own, both, shares, separate, shared, weights[0], self.shared.epsilon
        )
        maps = zip(parts.values(), own, tf.unstack(scale), tf.unstack(offset), strict=True)
        mixed = [affine(part, statistics.mean, s, o) for part, statistics, s, o in maps]
        return mixed[0] if len(mixed) == 1 else tf.concat(mixed, axis=0)


class Parameters(NamedTuple):
    """What a batch norm multiplies by and adds, each [C], or [M, C] for those of M modalities."""

    gamma: tf.Tensor
    beta: tf.Tensor


def mixture(
    own: Sequence[Statistics],
    both: Statistics,
    shares: Sequence[Any],
    separate: Parameters,
    shared: Parameters,
    share_of_separate: tf.Tensor,
    epsilon: float,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Scale and offset of a mixture of two batch norms' outputs, around each modality's mean.

    ``(x - m_i) scale_i + offset_i = w separate_i(x) + (1 - w) shared(x)``: both normalisations are
    affine per channel, so is their mixture. Around the own mean ``m_i`` no digits cancel.

    The gradient is written in closed form: a supernet has so many sites that what automatic
    differentiation makes of these few lines, small operations each, costs time and memory.

    Args:
      own: the statistics that each of the M modalities present is normalised by.
      both: those that all rows are normalised by. In training they are the moments of the rows of
        ``own`` together (:meth:`Statistics.of_union`), and the gradient for ``own`` is right
        through them too; otherwise both are running statistics, and nobody asks for it.
      shares: of each of ``own`` in the rows of ``both``; 0 for running statistics.
      separate: of the modalities' batch norms, [M, C] each.
      shared: of the batch norm of all rows, [C] each.
      share_of_separate: ``w``, a scalar in 0..1.
      epsilon: of the batch norms.

    Returns:
      scale and offset, [M, C] each.
    """
    means = tf.stack([part.mean for part in own])  # [M, C]
    variances = tf.stack([part.variance for part in own])
    rows = tf.convert_to_tensor([[share] for share in shares], means.dtype)  # [M, 1]

    @tf.custom_gradient
    def coefficients(means, variances, mean, variance, gammas, betas, gamma, beta, w):
        roots, root = tf.math.rsqrt(variances + epsilon), tf.math.rsqrt(variance + epsilon)
        distances = means - mean  # [M, C]
        separate_scale, shared_scale = gammas * roots, gamma * root
        shared_offset = beta + shared_scale * distances
        # The difference of the two is what the gradient of w is about: taken here, it does not
        # have to be left over from two large sums.
        scale_gap, offset_gap = separate_scale - shared_scale, betas - shared_offset

        def gradient(d_scale, d_offset):
            others = 1.0 - w
            to_shared = others * d_offset  # [M, C]
            d_beta = tf.reduce_sum(to_shared, axis=0)
            d_shared_scale = tf.reduce_sum(others * d_scale + to_shared * distances, axis=0)
            d_separate_scale = w * d_scale
            d_variance = -0.5 * d_shared_scale * shared_scale * tf.square(root)
            d_variances = -0.5 * d_separate_scale * separate_scale * tf.square(roots)
            moved = shared_scale * (to_shared - rows * d_beta) + 2.0 * rows * distances * d_variance
            return (
                moved,
                d_variances + rows * d_variance,
                None,
                None,
                d_separate_scale * roots,
                w * d_offset,
                d_shared_scale * root,
                d_beta,
                tf.reduce_sum(d_scale * scale_gap + d_offset * offset_gap),
            )

        scale, offset = shared_scale + w * scale_gap, shared_offset + w * offset_gap
        return (scale, offset), gradient

    # All that it reads is handed in: for anything else the whole network before would be looked
    # through for variables.
    of_all = (both.mean, both.variance)
    return coefficients(means, variances, *of_all, *separate, *shared, share_of_separate)
