"""From a feature map to embeddings and identity logits."""

from typing import Any, NamedTuple

import tensorflow as tf
import tf_keras as keras

from cmnas_tf.layers import BatchNorm, generalized_mean
from cmnas_tf.modality import Rows


class Embeddings(NamedTuple):
    """What a network says about each row; float32."""

    # Global average (or generalized mean) of the feature map, [N, D]; the triplet's features.
    pooled: tf.Tensor
    embedding: tf.Tensor  # after the BN neck, not normalised, [N, D]; what is compared in a test
    logits: tf.Tensor  # one per training identity, [N, num_classes]

    def by_modality(self, rows: Rows) -> "dict[str, Embeddings]":
        """The rows of each modality that is present."""
        parts = [rows.split(field) for field in self]
        return {name: Embeddings(*(part[name] for part in parts)) for name in rows.counts}


class Head(keras.layers.Layer):
    """Global pooling, BN neck and classifier (Luo et al., CVPRW 2019; authors' code).

    The neck is shared by the modalities; its gamma starts as N(1, 0.01) and its beta stays 0. The
    classifier has no bias and starts as N(0, 0.001).

    Args:
      num_classes: training identities.
      synchronized: see :class:`BatchNorm`.
      neck: False for a head without one: the embedding is what was pooled, and the classifier has a
        bias.
      pooling: ``"average"``; or ``"gem"``, ``"gem_trained"``: :func:`generalized_mean` with a power
        of 3, which is trained from there in the last case.
    """

    def __init__(
        self,
        num_classes: int,
        synchronized: bool = False,
        neck: bool = True,
        pooling: str = "average",
        **kwargs: Any,
    ):
        kwargs.setdefault("dtype", keras.mixed_precision.global_policy().variable_dtype)
        super().__init__(**kwargs)
        self.neck: keras.layers.Layer = (
            BatchNorm(
                train_beta=False,
                gamma_initializer=keras.initializers.RandomNormal(1.0, 0.01),
                synchronized=synchronized,
                dtype=self.dtype_policy,
            )
            if neck
            else keras.layers.Identity(dtype=self.dtype_policy)
        )
        self.power: Any = {"gem": 3.0}.get(pooling)
        if pooling == "gem_trained":
            self.power = self.add_weight("power", (), initializer=keras.initializers.Constant(3.0))
        self.classifier = keras.layers.Dense(
            num_classes,
            use_bias=not neck,
            kernel_initializer=keras.initializers.RandomNormal(0.0, 0.001),
            dtype=self.dtype_policy,
        )

    def call(self, features: tf.Tensor, training: bool = False) -> Embeddings:
        """``features`` [N, H, W, D] -> :class:`Embeddings`."""
        pooled, embedding = self.embed(features, training)
        return Embeddings(pooled, embedding, self.classifier(embedding))

    def embed(self, features: tf.Tensor, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """``features`` [N, H, W, D] -> pooled and embedding, both [N, D]; no classifier."""
        features = tf.cast(features, self.compute_dtype)
        if self.power is None:
            pooled = tf.reduce_mean(features, axis=[1, 2])
        else:
            pooled = generalized_mean(features, self.power)
        return pooled, self.neck(pooled, training=training)
