"""A network in training: what its step consists of, from its settings."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from tensorflow import keras

from cmnas_tf import settings as settings_module
from cmnas_tf.devices.distribution import first_replica
from cmnas_tf.losses import Objective
from cmnas_tf.models import ReidNetwork
from cmnas_tf.models.precision import computed_in
from cmnas_tf.models.specification import Specification
from cmnas_tf.training.gradient_step import descend
from cmnas_tf.training.initial_weights import start_from
from cmnas_tf.training.loss_scale import scaled_for
from cmnas_tf.training.moving_average import MovingAverage
from cmnas_tf.training.optimizers import Optimizer, weight_optimizer


@dataclass(frozen=True)
class Trainee:
    """A derived network and what trains it.

    Attributes:
      network: in training.
      optimizer: of all its trainable variables.
      average: follows the network's variables.
      train_step: distributed batch -> ``{"weights": terms}`` before the step, which it takes.
    """

    network: ReidNetwork
    optimizer: Optimizer
    average: MovingAverage
    train_step: Callable[[Any], dict[str, dict[str, tf.Tensor]]]

    @classmethod
    def begin(
        cls,
        settings: settings_module.Train,
        strategy: tf.distribute.Strategy,
        specification: Specification,
        objective: Objective,
    ) -> "Trainee":
        """The network as a training begins with it.

        Args:
          settings: of the command.
          strategy: in whose scope the variables are made.
          specification: of the network.
          objective: what its weights follow.

        Raises:
          BadInput: the images are too small for it, or the initial weights do not fit it.
        """
        keras.utils.set_random_seed(settings.run.seed)
        precision = settings.arithmetic.precision
        with strategy.scope(), computed_in(precision):
            network = specification.build(settings.devices.batch_norm == "synchronized")
            network.backbone.recompute = settings.devices.recompute
            start_from(network, settings)
            optimizer = scaled_for(precision, weight_optimizer(network, settings.optimizer))
            average = MovingAverage(network.get_weight_paths(), settings.schedule.average_decay)

        def replica_step(batch):
            return {
                "weights": descend(
                    network, objective, optimizer, batch, settings.batch.images_per_identity
                )
            }

        # Nothing in it branches on a tensor; converting it takes seconds.
        @tf.function(autograph=False)
        def train_step(batch):
            terms = strategy.run(replica_step, args=(batch,))
            average.update()
            return first_replica(terms)

        return cls(network, optimizer, average, train_step)
