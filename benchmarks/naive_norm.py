"""The mixed normalisation as one would first write it: three batch norms, two multiplications."""

import tensorflow as tf
import tf_keras as keras

from cmnas_tf.modality import MODALITIES, Rows


class NaiveMixedNorm(keras.layers.Layer):
    """What ``MixedModalityNorm`` computes, from three of Keras' own (fused) batch norms."""

    def __init__(self, name: str):
        super().__init__(name=name)
        self.separate = {
            modality: keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
            for modality in MODALITIES
        }
        self.shared = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)

    def build(self, shape: tf.TensorShape) -> None:
        self.architecture_logits = self.add_weight("architecture_logits", (2,), initializer="zeros")
        super().build(shape)

    def call(self, x: tf.Tensor, rows: Rows, training: bool = False) -> tf.Tensor:
        weights = tf.nn.softmax(self.architecture_logits)
        separate = [
            self.separate[modality](part, training=training)
            for modality, part in rows.split(x).items()
        ]
        shared = self.shared(x, training=training)
        return weights[0] * tf.concat(separate, axis=0) + weights[1] * shared
