"""The loop around a step: batches in, loss terms out, progress, checkpoints, and going on."""

import errno
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from cmnas_tf.data.pipeline import Share
from cmnas_tf.devices.workers import agreed_signal, check_agreement, is_chief
from cmnas_tf.errors import Stopped, TrainingDiverged
from cmnas_tf.interrupt import StopRequest
from cmnas_tf.progress import progress_bar
from cmnas_tf.runs.checkpoint_schedule import checkpoint_due
from cmnas_tf.runs.checkpoints import Checkpoints, State, state_digest

Batches = Callable[[int, int, Share], tf.data.Dataset]
Step = Callable[[int, Any], Mapping[str, Mapping[str, tf.Tensor]]]
Terms = Mapping[str, Mapping[str, float]]

_SHORT = {
    "total": "loss",
    "cross_entropy": "ce",
    "triplet": "tri",
    "correlation": "corr",
    "class_mmd": "mmd",
    "expected_cost": "cost",
}


@dataclass(frozen=True)
class Loop:
    """Runs a step function over its batches, from the newest checkpoint to the end.

    Of several workers each computes every step; the chief writes, the others only read.

    Attributes:
      folder: the run's folder; ``checkpoints/`` and ``tensorboard/`` are kept in it.
      strategy: what the batches are distributed over.
      state: every variable that changes from step to step.
      metadata: JSON that is stored with each checkpoint.
      steps_per_epoch: steps of an epoch.
      epochs: how long to go on.
      keep_checkpoints: how many to keep.
      checkpoint_every: see :func:`checkpoint_due`; there is one at the end in any case.
      progress: whether to show a bar.
    """

    folder: Path
    strategy: tf.distribute.Strategy
    state: State
    metadata: Mapping[str, Any]
    steps_per_epoch: int
    epochs: int
    keep_checkpoints: int = 2
    checkpoint_every: str = "epoch"
    progress: bool = True

    def run(
        self,
        batches: Batches,
        step: Step,
        after_epoch: Callable[[int], tuple[Mapping[str, float], str]] = lambda epoch: ({}, ""),
    ) -> None:
        """Goes from the newest checkpoint, or from the start, to the last epoch.

        Args:
          batches: ``(start, stop, share)`` -> these steps' batches for a share of the devices.
          step: ``(number, distributed batch)`` -> loss terms by objective; does one step.
          after_epoch: called with the number of an epoch that has ended, from 1; gives scalars for
            TensorBoard and a word for the bar.

        Raises:
          BadInput: the workers do not start from the same checkpoint and the same variables.
          TrainingDiverged: a term is not finite; the last checkpoint is kept.
          Stopped: SIGINT or SIGTERM asked a worker for it; a checkpoint was written.
        """
        chief = is_chief(self.strategy)
        checkpoints = Checkpoints(self.folder / "checkpoints", self.keep_checkpoints)
        due = checkpoint_due(self.checkpoint_every, self.steps_per_epoch)
        newest = checkpoints.newest()
        start, stop = 0, self.steps_per_epoch * self.epochs
        if newest is not None:
            newest.restore(self.state)
            start = newest.step
        check_agreement(
            self.strategy,
            lambda: {"the newest checkpoint": start, "the weights": state_digest(self.state)},
        )
        if start == stop:
            return
        writer = tf.summary.create_noop_writer()
        if chief:
            writer = tf.summary.create_file_writer(str(self.folder / "tensorboard"))
        distributed = self.strategy.distribute_datasets_from_function(
            lambda context: batches(start, stop, _share(context))
        )
        bar = progress_bar(stop, "step", self.progress and chief, initial=start)
        with (
            bar,
            self.strategy.scope(),
            StopRequest.listening() as request,
            checkpoints.finishing(),
        ):
            word = ""
            for number, batch in zip(range(start, stop), distributed, strict=True):
                terms = _on_host(step(number, batch))
                self._check_finite(terms, number, checkpoints)
                scalars = {
                    f"{objective}_loss/{name}": value
                    for objective, values in terms.items()
                    for name, value in values.items()
                }
                epoch, left = divmod(number + 1, self.steps_per_epoch)
                if not left:
                    found, word = after_epoch(epoch)
                    scalars |= found
                _log(writer, scalars, number)
                asked = agreed_signal(self.strategy, request.signal)
                if chief and (due(number + 1) or number + 1 == stop or asked):
                    checkpoints.save_in_background(number + 1, self.state, self.metadata)
                bar.set_description_str(
                    f"epoch {number // self.steps_per_epoch + 1}/{self.epochs}", refresh=False
                )
                bar.set_postfix_str(f"{_in_short(terms)} {word}".strip(), refresh=False)
                bar.update()
                if asked:
                    raise Stopped(asked, number + 1)

    def _check_finite(self, terms: Terms, number: int, checkpoints: Checkpoints) -> None:
        for objective, values in terms.items():
            for name, value in values.items():
                if not math.isfinite(value):
                    checkpoints.wait()
                    saved = checkpoints.paths()
                    kept = (
                        "The last checkpoint is kept" if saved else "No checkpoint was written yet"
                    )
                    raise TrainingDiverged(
                        f"The term {name} of the {objective} objective is {value} at step {number} "
                        f"(epoch {number // self.steps_per_epoch + 1}). {kept}; lower the learning "
                        "rate, in another --run_dir."
                    )


def _share(context: tf.distribute.InputContext) -> Share:
    count = context.num_replicas_in_sync // context.num_input_pipelines
    return Share(context.input_pipeline_id * count, count, context.num_replicas_in_sync)


def _on_host(terms: Mapping[str, Mapping[str, tf.Tensor]]) -> Terms:
    return {
        objective: {name: float(value) for name, value in values.items()}
        for objective, values in terms.items()
    }


def _log(writer: tf.summary.SummaryWriter, scalars: Mapping[str, float], number: int) -> None:
    try:
        with writer.as_default():
            for name, value in scalars.items():
                tf.summary.scalar(name, value, step=number)
    except tf.errors.ResourceExhaustedError as error:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "TensorBoard's log") from error


def _in_short(terms: Terms) -> str:
    """The terms that the weights follow, and what the architecture alone does."""
    shown = {**terms["weights"], **terms.get("architecture", {}), **terms["weights"]}
    return " ".join(f"{_SHORT[name]} {value:.3g}" for name, value in shown.items())
