"""The loop around a step: batches in, loss terms out, progress, checkpoints, and going on."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from cmnas_tf.data.pipeline import Share
from cmnas_tf.errors import TrainingDiverged
from cmnas_tf.progress import progress_bar
from cmnas_tf.training.checkpoints import Checkpoints, State

Terms = Mapping[str, Mapping[str, float]]

_SHORT = {
    "total": "loss",
    "cross_entropy": "ce",
    "triplet": "tri",
    "correlation": "corr",
    "class_mmd": "mmd",
}


@dataclass(frozen=True)
class Loop:
    """Runs a step function over its batches, from the last checkpoint to the end.

    Attributes:
      folder: the run's folder; ``checkpoints/`` and ``tensorboard/`` are kept in it.
      strategy: what the batches are distributed over.
      state: every variable that changes from step to step.
      metadata: JSON that is stored with each checkpoint.
      steps_per_epoch: steps between two checkpoints.
      epochs: how long to go on.
      keep_checkpoints: how many to keep.
      progress: whether to show a bar.
    """

    folder: Path
    strategy: tf.distribute.Strategy
    state: State
    metadata: Mapping[str, Any]
    steps_per_epoch: int
    epochs: int
    keep_checkpoints: int
    progress: bool

    def run(
        self,
        batches: Callable[[int, int, Share], tf.data.Dataset],
        step: Callable[[int, Any], Mapping[str, Mapping[str, tf.Tensor]]],
        summary: Callable[[], tuple[Mapping[str, float], str]] = lambda: ({}, ""),
    ) -> None:
        """Goes from the newest checkpoint, or from the start, to the last epoch.

        Args:
          batches: ``(start, stop, share)`` -> these steps' batches for a share of the devices.
          step: ``(number, distributed batch)`` -> loss terms by objective; does one step.
          summary: called after each epoch: scalars for TensorBoard, and a word for the bar.

        Raises:
          TrainingDiverged: a term is not finite.
        """
        checkpoints = Checkpoints(self.folder / "checkpoints", self.keep_checkpoints)
        newest = checkpoints.newest()
        start, stop = 0, self.steps_per_epoch * self.epochs
        if newest is not None:
            newest.restore(self.state)
            start = newest.step
        saved = newest is not None
        writer = tf.summary.create_file_writer(str(self.folder / "tensorboard"))
        distributed = self.strategy.distribute_datasets_from_function(
            lambda context: batches(start, stop, _share(context))
        )
        bar = progress_bar(stop, "step", self.progress, initial=start)
        word = ""
        with bar, writer.as_default(), self.strategy.scope():
            for number, batch in zip(range(start, stop), distributed, strict=True):
                terms = {
                    objective: {name: float(value) for name, value in values.items()}
                    for objective, values in step(number, batch).items()
                }
                self._check_finite(terms, number, saved)
                self._log(terms, number)
                if (number + 1) % self.steps_per_epoch == 0:
                    scalars, word = summary()
                    for name, value in scalars.items():
                        tf.summary.scalar(name, value, step=number)
                    checkpoints.save(number + 1, self.state, self.metadata)
                    saved = True
                epoch = number // self.steps_per_epoch + 1
                bar.set_description_str(f"epoch {epoch}/{self.epochs}", refresh=False)
                bar.set_postfix_str(f"{_in_short(terms)} {word}".strip(), refresh=False)
                bar.update()

    def _check_finite(self, terms: Terms, number: int, saved: bool) -> None:
        for objective, values in terms.items():
            for name, value in values.items():
                if not math.isfinite(value):
                    kept = (
                        "The last checkpoint is kept" if saved else "No checkpoint was written yet"
                    )
                    raise TrainingDiverged(
                        f"The term {name} of the {objective} objective is {value} at step {number} "
                        f"(epoch {number // self.steps_per_epoch + 1}). {kept}; lower the learning "
                        "rate, in another --run_dir."
                    )

    def _log(self, terms: Terms, number: int) -> None:
        for objective, values in terms.items():
            for name, value in values.items():
                tf.summary.scalar(f"{objective}_loss/{name}", value, step=number)


def _share(context: tf.distribute.InputContext) -> Share:
    count = context.num_replicas_in_sync // context.num_input_pipelines
    return Share(context.input_pipeline_id * count, count, context.num_replicas_in_sync)


def _in_short(terms: Terms) -> str:
    weights = terms["weights"]
    return " ".join(f"{_SHORT[name]} {value:.3g}" for name, value in weights.items())
