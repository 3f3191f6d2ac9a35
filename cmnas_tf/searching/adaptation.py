"""Some training of a supernet's weights for one architecture alone, before it is measured."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import tensorflow as tf

from cmnas_tf.data.pipeline import Share
from cmnas_tf.progress import progress_bar
from cmnas_tf.searching.algorithm import ADAPTATION_STREAM, Task
from cmnas_tf.searching.bilevel import Bilevel, RunUpdate
from cmnas_tf.training.optimizers import along_cosine


@dataclass(frozen=True)
class Adaptation:
    """Trains the weights of a supernet for what its logits are set to, and puts them back.

    Weights that a mixture shares serve some of its architectures worse than others: those that
    separate norms near the end retrieve far better after an epoch of their own. Every architecture
    starts from the same weights and sees the same batches. All of it is our choice.

    Attributes:
      task: of the search; the batches are of the images that its weights learn from.
      bilevel: with the weights and the state of its last step.
      run: of an update, see ``Bilevel.train_step``.
      epochs: for each architecture.
      learning_rate: of the first step, over the full one; it falls along a cosine.
    """

    task: Task
    bilevel: Bilevel
    run: RunUpdate
    epochs: int
    learning_rate: float

    @cached_property
    def _before(self) -> list[tuple[tf.Variable, tf.Tensor]]:
        optimizer = self.bilevel.weight_optimizer
        state = [*optimizer.trained, *optimizer.named_variables().values()]
        return [(variable, tf.identity(variable)) for variable in state]

    @contextlib.contextmanager
    def adapted(self) -> Iterator[None]:
        """Within, the weights are those of the architecture that the logits are set to."""
        before, images, strategy = self._before, self.task.images, self.task.strategy
        sampler = images.sampler(self.task.split.weights, ADAPTATION_STREAM)
        per_epoch, lowest = sampler.steps_per_epoch, images.training.optimizer.final_learning_rate
        steps = self.epochs * per_epoch
        batches = strategy.distribute_datasets_from_function(
            lambda context: images.batches(sampler, 0, steps, Share.in_context(context))
        )
        try:
            with strategy.scope(), progress_bar(steps, "step", self.task.progress) as bar:
                bar.set_description_str("adapting")
                for step, batch in zip(range(steps), batches, strict=True):
                    fallen = along_cosine(step / per_epoch, self.epochs, lowest)
                    self.bilevel.weight_optimizer.set_factor(self.learning_rate * fallen)
                    self.run(self.bilevel.update_weights, batch)
                    bar.update()
            yield
        finally:
            for variable, value in before:
                variable.assign(value)
