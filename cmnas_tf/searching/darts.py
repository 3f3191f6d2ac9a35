"""DARTS: weights and architecture parameters trained in turns (Liu et al., ICLR 2019)."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cmnas_tf.architecture import Architecture
from cmnas_tf.errors import BadInput
from cmnas_tf.losses import ArchitectureWeights, Objective
from cmnas_tf.options import option
from cmnas_tf.search_spaces import SearchSpace
from cmnas_tf.searching.algorithm import ALGORITHMS, SearchAlgorithm, Task
from cmnas_tf.searching.selection import SelectionChoice

if TYPE_CHECKING:
    import tensorflow as tf

    from cmnas_tf.data.pipeline import Batch, Share
    from cmnas_tf.layers import Relaxation
    from cmnas_tf.models import ReidNetwork
    from cmnas_tf.searching.bilevel import Bilevel
    from cmnas_tf.training.gradient_step import LossFunction


@dataclass(frozen=True, kw_only=True)
class Darts(SearchAlgorithm):
    """The bilevel search; the authors released none of it, so all of it is our choice.

    Attributes:
      architecture_weights: of the losses that the architecture follows.
      selection: what is kept of the supernet at the end.

    Raises:
      BadInput: options that contradict each other.
    """

    warmup_epochs: int = option(
        10, "First epochs, in which the architecture logits are not updated.", minimum=0
    )
    order: str = option(
        "first",
        "Whether the architecture's gradient takes the weights as they are (first), or counts in "
        "how they would follow (second: about three times the work of a step).",
        choices=("first", "second"),
        advanced=True,
    )
    architecture_statistics: str = option(
        "running",
        "What batch norms normalise by in the architecture loss: running statistics, as a test "
        "does, or those of its batch, as training does (DARTS).",
        choices=("running", "batch"),
        advanced=True,
    )
    relaxation: str = option(
        "softmax",
        "How logits become mixture weights: softmax [Auto-ReID: pub], Gumbel-softmax with "
        "annealing, or gdas: the candidate that it draws alone, with its gradient.",
        choices=("softmax", "gumbel", "gdas"),
        advanced=True,
    )
    initial_temperature: float = option(
        5.0, "Gumbel temperature at first.", minimum=0.01, advanced=True
    )
    final_temperature: float = option(
        0.5, "Gumbel temperature at last.", minimum=0.01, advanced=True
    )
    architecture_learning_rate: float = option(
        1e-3, "Learning rate of the architecture logits (Adam 0.5, 0.999).", minimum=0
    )
    architecture_weight_decay: float = option(
        1e-3, "L2 added to the gradient of the architecture logits.", minimum=0, advanced=True
    )
    latency_weight: float = option(
        0.0,
        "Expected multiply-adds of the mixture of cells, over those of an even one, in the "
        "architecture loss (beyond the paper).",
        minimum=0,
        advanced=True,
    )
    architecture_weights: ArchitectureWeights = ArchitectureWeights()
    selection: SelectionChoice = SelectionChoice()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.warmup_epochs >= self.epochs:
            raise BadInput(
                f"warmup_epochs={self.warmup_epochs} leaves no epoch of epochs={self.epochs} for "
                "the architecture; it must be smaller."
            )
        if self.order == "second" and self.numerics.precision != "float32":
            raise BadInput(
                f"order=second takes differences of gradients, which precision="
                f"{self.numerics.precision} has too few digits for; leave one of the two out."
            )

    def for_modalities(self, modalities: Collection[str]) -> "Darts":
        """See :class:`WeightTraining`."""
        weights = self.architecture_weights.for_modalities(modalities)
        return replace(super().for_modalities(modalities), architecture_weights=weights)

    @cached_property
    def architecture_objective(self) -> Objective:
        """What the architecture follows.

        With identities kept apart the classifier does not know those of the architecture split, so
        cross entropy is left out.
        """
        weights, apart = self.architecture_weights, self.split == "identities"
        return self.objective.of_architecture(weights, unknown_people=apart)

    def check(self, task: Task) -> None:
        """See :class:`SearchAlgorithm`."""
        modalities = task.images.dataset.modalities
        for objective in (self.architecture_objective, self.objective):
            objective.check(modalities)
        self.selection.make().check(task.space, task.split)

    def make_relaxation(self, seed: int) -> "Relaxation":
        """See :class:`SearchAlgorithm`."""
        from cmnas_tf.layers import Gdas, GumbelSoftmax, Softmax

        if self.relaxation == "softmax":
            return Softmax()
        sampled = {"gumbel": GumbelSoftmax, "gdas": Gdas}[self.relaxation]
        return sampled(seed, self.initial_temperature, self.final_temperature)

    def updates_architecture(self, epoch: int) -> bool:
        """Whether the logits are updated in an epoch, counted from 0."""
        return epoch >= self.warmup_epochs

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
                architecture_loss = _with_cost(architecture_loss, self.latency_weight, cost)
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
        import tensorflow as tf

        from cmnas_tf.devices import xla
        from cmnas_tf.devices.distribution import compiled_on
        from cmnas_tf.runs.loop import Loop, Seen
        from cmnas_tf.searching.fitness import SupernetFitness
        from cmnas_tf.training.initial_weights import starting
        from cmnas_tf.training.optimizers import factor_at

        space, run = task.space, task.run
        start = starting(run, self.start.initial_weights, task.progress, supernet=True)
        bilevel, relaxation = self.begin(
            space, task.num_classes, task.strategy, task.images.seed, start
        )
        supernet = bilevel.network
        by_xla = xla.compiles(self.numerics.xla, task.strategy, self.numerics.deterministic)
        on_devices = compiled_on(task.strategy, by_xla)
        steps_per_epoch = task.weight_batches.steps_per_epoch
        steps = steps_per_epoch * self.epochs

        def step(number: int, batches: "tuple[Batch, Batch]"):
            factor = factor_at(number, steps_per_epoch, self.epochs, self.optimizer)
            bilevel.weight_optimizer.set_factor(factor)
            relaxation.prepare(number, number / steps)
            update_architecture = self.updates_architecture(number // steps_per_epoch)
            return bilevel.train_step(*batches, update_architecture, on_devices)

        def batches(start: int, stop: int, share: "Share") -> tf.data.Dataset:
            samplers = (task.architecture_batches, task.weight_batches)
            return tf.data.Dataset.zip(
                tuple(task.images.batches(sampler, start, stop, share) for sampler in samplers)
            )

        def after_epoch(epoch: int) -> Seen:
            if task.writes:
                space.derive(supernet, task.origin).save(run.architecture_after(epoch))
            return Seen(*space.summary(supernet))

        loop = Loop(
            run=run,
            strategy=task.strategy,
            state={
                "network": supernet.get_weight_paths(),
                "architecture_optimizer": bilevel.architecture_optimizer.named_variables(),
                "weight_optimizer": bilevel.weight_optimizer.named_variables(),
            },
            metadata=task.origin,
            steps_per_epoch=steps_per_epoch,
            epochs=self.epochs,
            checkpointing=task.checkpointing,
            progress=task.progress,
        )
        loop.steps(batches, step, after_epoch)
        derived, selection = space.derive(supernet, task.origin), self.selection.make()
        if not selection.needs_fitness:
            return derived
        file = run.fitness if task.writes else None
        fitness = SupernetFitness(space, supernet, task.images, task.split, file)
        return selection.select(derived, fitness, task.images.seed)


def _with_cost(
    loss: "LossFunction", weight: float, expected_cost: "Callable[[], tf.Tensor]"
) -> "LossFunction":
    """A loss with one more term: what the mixture of a search costs."""
    from cmnas_tf.losses.objective import TOTAL

    def with_cost(*batch: Any) -> "dict[str, tf.Tensor]":
        terms, cost = loss(*batch), expected_cost()
        return {**terms, "expected_cost": cost, TOTAL: terms[TOTAL] + weight * cost}

    return with_cost


ALGORITHMS.register("darts", Darts)
