"""Batch normalisation with PyTorch's running statistics, for one set of rows."""

from typing import Any

import tensorflow as tf
from tensorflow import keras


@keras.utils.register_keras_serializable("cmnas_tf")
class BatchNorm(keras.layers.Layer):
    """Batch normalisation over all axes but the last (Ioffe and Szegedy, ICML 2015).

    Differs from ``keras.layers.BatchNormalization`` where PyTorch, and so every published re-ID
    network, differs: epsilon 1e-5, momentum 0.9, and a running variance that is unbiased for
    inputs of any rank and when synchronised (Keras: only for unsynchronised 4-D inputs). Statistics
    and parameters are float32 (float64 in a float64 layer) whatever the compute dtype.

    With several replicas the running statistics follow the mean of the replicas' statistics, so
    that they are the same on each of them and a checkpoint holds all there is.

    Attributes:
      gamma, beta: scale and offset, [C].
      moving_mean, moving_variance: running statistics, [C].

    Args:
      momentum: share of the running statistics that one update keeps, 0..1.
      epsilon: added to the variance.
      train_beta: whether the offset is trained; it stays 0 otherwise.
      gamma_initializer: Keras initializer of ``gamma``.
      synchronized: batch statistics over the rows of all replicas instead of each one's own. The
        replicas must hold equally many rows.
    """

    def __init__(
        self,
        momentum: float = 0.9,
        epsilon: float = 1e-5,
        train_beta: bool = True,
        gamma_initializer: Any = "ones",
        synchronized: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.momentum = momentum
        self.epsilon = epsilon
        self.train_beta = train_beta
        self.gamma_initializer = keras.initializers.get(gamma_initializer)
        self.synchronized = synchronized

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates the four vectors."""
        channels = (int(input_shape[-1]),)
        self.gamma = self.add_weight(
            "gamma", channels, initializer=self.gamma_initializer, experimental_autocast=False
        )
        self.beta = self.add_weight(
            "beta",
            channels,
            initializer="zeros",
            trainable=self.train_beta,
            experimental_autocast=False,
        )
        self.moving_mean = self._statistic("moving_mean", channels, "zeros")
        self.moving_variance = self._statistic("moving_variance", channels, "ones")
        super().build(input_shape)

    def _statistic(self, name: str, shape: tuple[int], initializer: str) -> tf.Variable:
        return self.add_weight(
            name,
            shape,
            initializer=initializer,
            trainable=False,
            experimental_autocast=False,
            aggregation=tf.VariableAggregation.MEAN,
        )

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Normalises ``x`` [N, ..., C]; the running statistics are used or updated."""
        shape = tf.shape(x)
        rank = x.shape.rank
        x = x if rank == 4 else tf.reshape(x, [-1, 1, 1, x.shape[-1]])
        y = self._normalize_batch(x) if training else self._normalize_running(x)
        return y if rank == 4 else tf.reshape(y, shape)

    def _normalize_running(self, x: tf.Tensor) -> tf.Tensor:
        if x.dtype == tf.float64:
            return self._affine(x, self.moving_mean, self.moving_variance)
        y, _, _ = tf.compat.v1.nn.fused_batch_norm(
            x,
            self.gamma,
            self.beta,
            mean=self.moving_mean,
            variance=self.moving_variance,
            epsilon=self.epsilon,
            is_training=False,
        )
        return y

    def _normalize_batch(self, x: tf.Tensor) -> tf.Tensor:
        replicas = tf.distribute.get_strategy().num_replicas_in_sync if self.synchronized else 1
        if x.dtype != tf.float64 and replicas == 1:
            # The kernel returns the variance that belongs into the running one: unbiased.
            y, mean, unbiased = tf.compat.v1.nn.fused_batch_norm(
                x, self.gamma, self.beta, epsilon=self.epsilon, is_training=True
            )
        else:
            mean, variance = tf.nn.moments(tf.cast(x, self.gamma.dtype), axes=[0, 1, 2])
            if replicas > 1:
                mean, variance = _over_replicas(mean, variance)
            y = self._affine(x, mean, variance)
            count = tf.cast(tf.size(x) // x.shape[-1] * replicas, variance.dtype)
            unbiased = variance * count / tf.maximum(count - 1.0, 1.0)
        self._update(self.moving_mean, mean)
        self._update(self.moving_variance, unbiased)
        return y

    def _affine(self, x: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor) -> tf.Tensor:
        scale = self.gamma * tf.math.rsqrt(variance + self.epsilon)
        return tf.cast(tf.cast(x, scale.dtype) * scale + (self.beta - mean * scale), x.dtype)

    def _update(self, running: tf.Variable, batch: tf.Tensor) -> None:
        batch = tf.cast(tf.stop_gradient(batch), running.dtype)
        running.assign(running * self.momentum + batch * (1.0 - self.momentum))

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, for Keras' config round trip."""
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "train_beta": self.train_beta,
            "gamma_initializer": keras.initializers.serialize(self.gamma_initializer),
            "synchronized": self.synchronized,
        }


def _over_replicas(mean: tf.Tensor, variance: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and variance [C] of the rows of all replicas, from each one's own.

    The variance is the mean of the variances plus the spread of the means: unlike the difference
    of E[x^2] and E[x]^2 it loses no digits when the mean is large.
    """
    replica = tf.distribute.get_replica_context()
    mean_of_all = replica.all_reduce(tf.distribute.ReduceOp.MEAN, mean)
    spread = variance + tf.square(mean - mean_of_all)
    return mean_of_all, replica.all_reduce(tf.distribute.ReduceOp.MEAN, spread)
