"""Batch normalisation with PyTorch's running statistics, for one set of rows."""

import contextlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from cmnas_tf.layers.statistics import Statistics, affine

_moving: ContextVar[bool] = ContextVar("whether running statistics move", default=True)
# What is taken off each of them at the end of a block.
_together: ContextVar[list[tuple[tf.Variable, tf.Tensor]] | None] = ContextVar(
    "moves that wait", default=None
)


@contextlib.contextmanager
def running_statistics_kept() -> Iterator[None]:
    """In the block a forward pass in training mode leaves all running statistics as they are."""
    token = _moving.set(False)
    try:
        yield
    finally:
        _moving.reset(token)


@contextlib.contextmanager
def running_statistics_together() -> Iterator[None]:
    """In the block, in one of several replicas, running statistics wait and move at its end.

    What the replicas found is then averaged at once. Each statistic by itself would be a message
    between them of its own, hundreds in a step, each as slow as a large one.
    """
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        yield
        return
    moves: list[tuple[tf.Variable, tf.Tensor]] = []
    token = _together.set(moves)
    try:
        yield
    finally:
        _together.reset(token)
    if not moves:
        return
    statistics, taken = zip(*moves, strict=True)
    mean = replica.all_reduce(tf.distribute.ReduceOp.MEAN, tf.concat(taken, axis=0))

    def move(strategy: tf.distribute.Strategy, parts: Sequence[Any]) -> None:
        # Each replica's copy, by what is the same on all of them.
        for statistic, part in zip(statistics, parts, strict=True):
            strategy.extended.update(statistic, _take, args=(part,))

    replica.merge_call(move, args=(tf.split(mean, [part.shape[0] for part in taken]),))


def _take(statistic: tf.Variable, part: tf.Tensor) -> None:
    statistic.assign_sub(part, read_value=False)


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
      gamma, beta: scale and offset, [C]; the constants 1 and 0 when not ``affine``.
      moving_mean, moving_variance: running statistics, [C].

    Args:
      momentum: share of the running statistics that one update keeps, 0..1.
      epsilon: added to the variance.
      affine: whether scale and offset are variables.
      train_beta: whether the offset is trained; it stays 0 otherwise.
      gamma_initializer: Keras initializer of ``gamma``.
      synchronized: batch statistics over the rows of all replicas instead of each one's own. The
        replicas must hold equally many rows.
    """

    def __init__(
        self,
        momentum: float = 0.9,
        epsilon: float = 1e-5,
        affine: bool = True,
        train_beta: bool = True,
        gamma_initializer: Any = "ones",
        synchronized: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.momentum = momentum
        self.epsilon = epsilon
        self.affine = affine
        self.train_beta = train_beta
        self.gamma_initializer = keras.initializers.get(gamma_initializer)
        self.synchronized = synchronized

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates the four vectors."""
        channels = (int(input_shape[-1]),)
        if self.affine:
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
        else:
            self.gamma = np.ones(channels, self.variable_dtype)
            self.beta = np.zeros(channels, self.variable_dtype)
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
        if x.shape.rank != 4:
            y = self.call(tf.reshape(x, [-1, 1, 1, x.shape[-1]]), training=training)
            return tf.reshape(y, tf.shape(x))
        if not training:
            return self.normalize(x, self.running())
        replicas = tf.distribute.get_strategy().num_replicas_in_sync if self.synchronized else 1
        if x.dtype == tf.float64 or replicas > 1:
            batch = self.batch(x)
            self.update(batch.mean, batch.unbiased_variance)
            return self.normalize(x, batch)
        # One kernel for what takes two passes above; it returns the unbiased variance.
        y, mean, unbiased = tf.compat.v1.nn.fused_batch_norm(
            x, self.gamma, self.beta, epsilon=self.epsilon, is_training=True
        )
        self.update(mean, unbiased)
        return y

    def running(self) -> Statistics:
        """The running statistics."""
        mean, variance = map(tf.convert_to_tensor, (self.moving_mean, self.moving_variance))
        return Statistics(mean, variance, 0.0)

    def batch(self, x: tf.Tensor) -> Statistics:
        """The statistics of a batch ``x`` [N, H, W, C], of all replicas when synchronised."""
        own = Statistics.of(x)
        return own.over_replicas() if self.synchronized else own

    def normalize(self, x: tf.Tensor, statistics: Statistics) -> tf.Tensor:
        """``x`` [N, H, W, C] normalised by given statistics, scaled and shifted."""
        return affine(x, statistics.mean, self.scale(statistics), self.beta)

    def scale(self, statistics: Statistics) -> tf.Tensor:
        """What normalisation by these statistics multiplies by, [C]."""
        return self.gamma * tf.math.rsqrt(statistics.variance + self.epsilon)

    def update(self, mean: tf.Tensor, unbiased_variance: tf.Tensor) -> None:
        """Moves the running statistics towards those of a batch, each [C], unless they are kept."""
        if not _moving.get():
            return
        share, waiting = tf.constant(1.0 - self.momentum, mean.dtype), _together.get()
        for running, batch in (
            (self.moving_mean, mean),
            (self.moving_variance, unbiased_variance),
        ):
            taken = (running - batch) * share
            if waiting is None:
                _take(running, taken)
            else:
                waiting.append((running, taken))

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, for Keras' config round trip."""
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "affine": self.affine,
            "train_beta": self.train_beta,
            "gamma_initializer": keras.initializers.serialize(self.gamma_initializer),
            "synchronized": self.synchronized,
        }
