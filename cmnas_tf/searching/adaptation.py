"""Some training of a supernet's weights for one architecture alone, before it is measured."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import tensorflow as tf

from cmnas_tf.data.pipeline import Share
from cmnas_tf.data.sampling import IdentitySampler
from cmnas_tf.progress import progress_bar
from cmnas_tf.searching.bilevel import Bilevel, RunUpdate
from cmnas_tf.training.inputs import TrainingImages
from cmnas_tf.training.optimizers import along_cosine


@dataclass(frozen=True)
class Adaptation:
    """Trains the weights of a supernet for what its logits are set to, and puts them back.

    Weights that a mixture shares serve some of its architectures worse than others: those that
    separate norms near the end retrieve far better after an epoch of their own. Every architecture
    starts from the same weights and sees the same batches. All of it is our choice.

    Attributes:
      bilevel: of the search, with the weights and the state of its last step.
      run: of an update, see ``Bilevel.train_step``.
      sampler: of the batches, from the images that the weights learn from.
      epochs: for each architecture.
      learning_rate: of the first step, over the full one; it falls along a cosine.
    """

    bilevel: Bilevel
    run: RunUpdate
    strategy: tf.distribute.Strategy
    images: TrainingImages
    sampler: IdentitySampler
    epochs: int
    learning_rate: float
    progress: bool = False

    @cached_property
    def _before(self) -> list[tuple[tf.Variable, tf.Tensor]]:
        optimizer = self.bilevel.weight_optimizer
        state = [*optimizer.trained, *optimizer.named_variables().values()]
        return [(variable, tf.identity(variable)) for variable in state]

    @contextlib.contextmanager
    def adapted(self) -> Iterator[None]:
        """Within, the weights are those of the architecture that the logits are set to."""
        before, per_epoch = self._before, self.sampler.steps_per_epoch
        steps, lowest = self.epochs * per_epoch, self.images.training.optimizer.final_learning_rate
        batches = self.strategy.distribute_datasets_from_function(
            lambda context: self.images.batches(self.sampler, 0, steps, Share.in_context(context))
        )
        try:
            with self.strategy.scope(), progress_bar(steps, "step", self.progress) as bar:
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
