"""Searches by a supernet: its weights are trained, then an architecture is selected from it."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from cmnas_tf.architecture import Architecture
from cmnas_tf.losses import Objective
from cmnas_tf.search_spaces import SearchSpace
from cmnas_tf.searching.algorithm import SearchAlgorithm, Task
from cmnas_tf.searching.selection import SelectionChoice

if TYPE_CHECKING:
    import tensorflow as tf

    from cmnas_tf.data.pipeline import Batch, Share
    from cmnas_tf.layers import Relaxation
    from cmnas_tf.models import ReidNetwork
    from cmnas_tf.searching.bilevel import Bilevel
    from cmnas_tf.training.gradient_step import LossFunction


class SupernetSearch(SearchAlgorithm):
    """Base of algorithms that train a supernet, and its architecture logits or not."""

    selection: SelectionChoice  # what is kept of the supernet at the end
    # Of the logits' update, see ``darts.Darts``; of no account where there is none.
    order: str = "first"
    architecture_statistics: str = "running"
    latency_weight: float = 0.0
    architecture_learning_rate: float = 1e-3
    architecture_weight_decay: float = 1e-3

    @property
    def architecture_objective(self) -> Objective:
        """What the architecture follows."""
        return self.objective

    def check(self, task: Task) -> None:
        """See :class:`SearchAlgorithm`."""
        for objective in (self.architecture_objective, self.objective):
            objective.check(task.images.dataset.modalities)
        self.selection.make().check(task.space, task.split)

    def make_relaxation(self, seed: int) -> "Relaxation":
        """See :class:`SearchAlgorithm`."""
        raise NotImplementedError

    def updates_architecture(self, epoch: int) -> bool:
        """Whether the logits are updated in an epoch, counted from 0."""
        return False

    def begin(
        self,
        space: SearchSpace,
        num_classes: int,
        strategy: "tf.distribute.Strategy",
        seed: int,
        start_from: "Callable[[ReidNetwork], None]" = lambda network: None,
    ) -> "tuple[Bilevel, Relaxation]":
        """The supernet as a search begins with it and what moves it; and its mixture.

        Args:
          seed: of the random weights and of the mixture.
          start_from: gives the new supernet other weights to start from.

        Raises:
          BadInput: the images are too small for the supernet, the initial weights do not fit it,
            or its space has no cost.
        """
        import tf_keras as keras

        from cmnas_tf.models.precision import computed_in
        from cmnas_tf.searching.bilevel import Bilevel
        from cmnas_tf.training.loss_scale import scaled_for
        from cmnas_tf.training.optimizers import Adam, Coupled, weight_optimizer

        numerics, size = self.numerics, self.size
        with strategy.scope():
            relaxation = self.make_relaxation(seed)
        keras.utils.set_random_seed(seed)
        with strategy.scope(), computed_in(numerics.precision):
            synchronized = numerics.batch_norm == "synchronized"
            supernet = space.supernet(relaxation, num_classes, synchronized)
            supernet.check_height(size.image_height)
            architecture_loss: LossFunction = self.architecture_objective
            if self.latency_weight:
                cost = space.expected_cost(supernet, size.image_height, size.image_width)
                architecture_loss = partial(
                    _with_cost, architecture_loss, self.latency_weight, cost
                )
            supernet.backbone.rematerialize = numerics.recompute
            start_from(supernet)
            logits = list(space.logits(supernet).values())
            of_architecture = Coupled(
                Adam(), logits, self.architecture_learning_rate, self.architecture_weight_decay
            )
            of_weights = weight_optimizer(supernet, self.optimizer, besides=logits)
            bilevel = Bilevel(
                supernet,
                scaled_for(numerics.precision, of_architecture),
                scaled_for(numerics.precision, of_weights),
                architecture_loss,
                self.objective,
                self.sampling.images_per_identity,
                second_order=self.order == "second",
                use_running_statistics=self.architecture_statistics == "running",
            )
        return bilevel, relaxation

    def search(self, task: Task) -> Architecture:
        """See :class:`SearchAlgorithm`.

        What it would have derived after each epoch is kept in the run folder, too: the last is not
        always the best to train.
        """
        import numpy as np
        import tensorflow as tf

        from cmnas_tf.devices import xla
        from cmnas_tf.devices.distribution import compiled_on
        from cmnas_tf.runs.loop import Loop, Seen
        from cmnas_tf.searching.fitness import SupernetFitness
        from cmnas_tf.training.initial_weights import starting
        from cmnas_tf.training.optimizers import Schedule

        space, run = task.space, task.run
        start = starting(run, self.start.initial_weights, task.progress, supernet=True)
        bilevel, relaxation = self.begin(
            space, task.num_classes, task.strategy, task.images.seed, start
        )
        supernet = bilevel.network
        by_xla = xla.compiles(self.numerics.xla, task.strategy, self.numerics.deterministic)
        on_devices = compiled_on(task.strategy, by_xla)
        steps_per_epoch = task.weight_batches.steps_per_epoch
        schedule = Schedule(self.optimizer, steps_per_epoch, self.epochs)
        steps = steps_per_epoch * self.epochs

        def step(number: int, batches: "tuple[Batch, Batch]"):
            bilevel.weight_optimizer.set_factor(schedule.factor(number))
            relaxation.prepare(number, number / steps)
            update_architecture = self.updates_architecture(number // steps_per_epoch)
            return bilevel.train_step(*batches, update_architecture, on_devices)

        def batches(start: int, stop: int, share: "Share") -> tf.data.Dataset:
            samplers = (task.architecture_batches, task.weight_batches)
            return tf.data.Dataset.zip(
                tuple(task.images.batches(sampler, start, stop, share) for sampler in samplers)
            )

        def after_epoch(epoch: int) -> Seen:
            scalars, word = space.summary(supernet)
            if not task.writes:
                return Seen(scalars, word)
            derived = space.derive(supernet, task.origin)
            derived.save(run.architecture_after(epoch))
            files = [run.architecture_after(each) for each in range(1, epoch + 1)]
            every = [space.probabilities(Architecture.load(f)) for f in files if f.is_file()]
            table = np.array([[*by_name.values()] for by_name in every]).T
            values = {**scalars, "probability_by_epoch": table}
            return Seen(values, word, leanings=space.probabilities(derived))

        loop = Loop(
            run=run,
            strategy=task.strategy,
            state=bilevel.state(),
            metadata=task.origin,
            steps_per_epoch=steps_per_epoch,
            epochs=self.epochs,
            checkpointing=task.checkpointing,
            progress=task.progress,
            also_logged=schedule.rates,
        )
        loop.steps(batches, step, after_epoch)
        derived, selection = space.derive(supernet, task.origin), self.selection.make()
        if not selection.needs_fitness:
            return derived
        return selection.select(derived, SupernetFitness(task, supernet), task.images.seed)


def _with_cost(
    loss: "LossFunction", weight: float, expected_cost: "Callable[[], tf.Tensor]", *batch: Any
) -> "dict[str, tf.Tensor]":
    """A loss with one more term: what the mixture of a search costs."""
    from cmnas_tf.losses.objective import TOTAL

    terms, cost = loss(*batch), expected_cost()
    return {**terms, "expected_cost": cost, TOTAL: terms[TOTAL] + weight * cost}
