"""A network in training: what its step consists of, from a recipe."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
import tf_keras as keras

from cmnas_tf.data.pipeline import Share
from cmnas_tf.data.sampling import IdentitySampler
from cmnas_tf.devices import xla
from cmnas_tf.devices.distribution import as_graph, first_replica
from cmnas_tf.models import ReidNetwork
from cmnas_tf.models.precision import computed_in
from cmnas_tf.models.specification import Specification
from cmnas_tf.runs.how_it_runs import Checkpointing
from cmnas_tf.runs.loop import AfterEpoch, Loop, nothing
from cmnas_tf.runs.run_folder import RunFolder
from cmnas_tf.training.gradient_step import gradient_step
from cmnas_tf.training.inputs import TrainingImages
from cmnas_tf.training.loss_scale import scaled_for
from cmnas_tf.training.moving_average import MovingAverage
from cmnas_tf.training.optimizers import Optimizer, Schedule, weight_optimizer
from cmnas_tf.training.recipe import WeightTraining


@dataclass(frozen=True)
class Trainer:
    """A derived network and what trains it."""

    training: WeightTraining
    strategy: tf.distribute.Strategy
    network: ReidNetwork
    optimizer: Optimizer  # of all its trainable variables
    average: MovingAverage  # follows the network's variables
    # Distributed batch -> {"weights": terms} before the step, which it takes.
    train_step: Callable[[Any], dict[str, dict[str, tf.Tensor]]]

    @classmethod
    def begin(
        cls,
        training: WeightTraining,
        strategy: tf.distribute.Strategy,
        specification: Specification,
        seed: int,
        average_decay: float = 0.0,
        start_from: Callable[[ReidNetwork], None] = lambda network: None,
    ) -> "Trainer":
        """The network as a training begins with it.

        Args:
          strategy: in whose scope the variables are made.
          seed: of its random weights.
          start_from: gives the new network other weights to start from.

        Raises:
          BadInput: the images are too small for it, or the initial weights do not fit it.
        """
        keras.utils.set_random_seed(seed)
        numerics = training.numerics
        with strategy.scope(), computed_in(numerics.precision):
            network = specification.build(numerics.batch_norm == "synchronized")
            network.backbone.rematerialize = numerics.recompute
            start_from(network)
            optimizer = scaled_for(
                numerics.precision, weight_optimizer(network, training.optimizer)
            )
            average = MovingAverage(network.get_weight_paths(), average_decay)
        k = training.sampling.images_per_identity

        def replica_step(batch):
            return {"weights": gradient_step(network, training.objective, optimizer, batch, k)}

        def train_step(batch):
            terms = strategy.run(replica_step, args=(batch,))
            average.update()
            return first_replica(terms)

        by_xla = xla.compiles(numerics.xla, strategy, numerics.deterministic)
        graph = as_graph(train_step, strategy, by_xla)
        return cls(training, strategy, network, optimizer, average, graph)

    def train(
        self,
        images: TrainingImages,
        sampler: IdentitySampler,
        run: RunFolder,
        epochs: int,
        metadata: Mapping[str, Any],
        checkpointing: Checkpointing,
        progress: bool,
        adopt_average_every: int = 0,
        after_epoch: AfterEpoch = nothing,
    ) -> None:
        """Trains to the last epoch, from the run's newest checkpoint where it has one.

        Args:
          run: where checkpoints and TensorBoard's logs go.
          metadata: JSON that is stored with each checkpoint.
          adopt_average_every: epochs after which the average overwrites the live weights; 0: never.
          after_epoch: see ``Loop.steps``.
        """
        steps_per_epoch = sampler.steps_per_epoch
        schedule = Schedule(self.training.optimizer, steps_per_epoch, epochs)
        adopt_every = adopt_average_every * steps_per_epoch

        def step(number: int, batch):
            # When the next epoch begins, so that a checkpoint holds both: as the authors' do.
            if adopt_every and number and number % adopt_every == 0:
                self.average.overwrite_live()
            self.optimizer.set_factor(schedule.factor(number))
            return self.train_step(batch)

        def batches(start: int, stop: int, share: Share) -> tf.data.Dataset:
            return images.batches(sampler, start, stop, share)

        loop = Loop(
            run=run,
            strategy=self.strategy,
            state=self.state(),
            metadata=metadata,
            steps_per_epoch=steps_per_epoch,
            epochs=epochs,
            checkpointing=checkpointing,
            progress=progress,
            also_logged=schedule.rates,
        )
        loop.steps(batches, step, after_epoch)

    def state(self) -> dict[str, dict[str, tf.Variable]]:
        """All that changes from step to step, by part of a checkpoint."""
        return {
            "network": self.network.get_weight_paths(),
            "average": self.average.variables,
            "weight_optimizer": self.optimizer.named_variables(),
        }
