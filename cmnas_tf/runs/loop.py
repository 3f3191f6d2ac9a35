"""The loop around a step: batches in, loss terms out, progress, checkpoints, resuming."""

import contextlib
import math
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import tensorflow as tf

from cmnas_tf.data.pipeline import Share
from cmnas_tf.devices.distribution import distributed_batches
from cmnas_tf.devices.frozen_weights import require_weights_may_change
from cmnas_tf.devices.gpus import memory_in_use, on_gpus
from cmnas_tf.devices.workers import agreed_signal, check_agreement, is_chief
from cmnas_tf.errors import BadInput, Stopped, TrainingDiverged
from cmnas_tf.interrupt import StopRequest
from cmnas_tf.losses.objective import short_name
from cmnas_tf.progress import progress_bar
from cmnas_tf.runs.checkpoints import (
    BEST,
    Checkpoints,
    RunState,
    finite_values,
    state_digest,
    write,
)
from cmnas_tf.runs.how_it_runs import Checkpointing
from cmnas_tf.runs.run_folder import RunFolder
from cmnas_tf.runs.tensorboard import log, open_log

Batches = Callable[[int, int, Share], tf.data.Dataset]
Step = Callable[[int, Any], Mapping[str, Mapping[str, tf.Tensor]]]
Terms = Mapping[str, Mapping[str, float]]


class Seen(NamedTuple):
    """What was found after an epoch."""

    values: Mapping[str, Any] = {}  # for TensorBoard, by name, see ``tensorboard.log``
    word: str = ""  # for the bar
    # JSON to store with the state, which is kept as the run's best; None: it is not
    best: Mapping[str, Any] | None = None
    # How much a search is for each of its decisions, 0..1 by name; to be drawn below the bar.
    leanings: Mapping[str, float] = {}


AfterEpoch = Callable[[int], Seen]


def nothing(epoch: int) -> Seen:
    """What is found where nobody looks."""
    return Seen()


@dataclass(frozen=True)
class Loop:
    """Runs a step function over its batches, from the newest checkpoint to the end.

    Of several workers each computes every step; the chief writes, the others only read.
    """

    run: RunFolder  # the run's folder
    strategy: tf.distribute.Strategy  # what the batches are distributed over
    state: RunState  # every variable that changes from step to step
    metadata: Mapping[str, Any]  # JSON that is stored with each checkpoint
    steps_per_epoch: int  # steps of an epoch
    epochs: int  # how many there are
    # When to write a checkpoint (there is one at the end in any case), and how many to keep.
    checkpointing: Checkpointing = Checkpointing()
    progress: bool = True  # whether to show a bar
    # Step -> scalars for TensorBoard besides its loss terms, by name.
    also_logged: Callable[[int], Mapping[str, float]] = lambda step: {}

    def steps(
        self,
        batches: Batches,
        step: Step,
        after_epoch: AfterEpoch = nothing,
    ) -> None:
        """Goes from the newest checkpoint, or from the start, to the last epoch.

        Args:
          batches: ``(start, stop, share)`` -> these steps' batches for a share of the devices.
          step: ``(number, distributed batch)`` -> loss terms by objective; does one step.
          after_epoch: called with the number of an epoch that has ended, from 1.

        Raises:
          BadInput: the workers do not start from the same checkpoint and the same variables, a step
            does not fit into its device's memory, or the environment says that weights stay.
          TrainingDiverged: a term is not finite; the last checkpoint is kept.
          Stopped: SIGINT, SIGTERM or SIGHUP asked a worker for it; a checkpoint was written.
        """
        require_weights_may_change()
        chief = is_chief(self.strategy)
        checkpoints = self.run.checkpoints(self.checkpointing.keep_checkpoints)
        due = checkpoint_due(self.checkpointing.checkpoint_every, self.steps_per_epoch)
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
            if chief:
                checkpoints.prune()  # a process may have been killed before it did
            return
        writer = tf.summary.create_noop_writer()
        if chief:
            writer = open_log(self.run.tensorboard, start)
        ahead = steps_ahead(self.strategy)
        distributed = distributed_batches(
            self.strategy, lambda share: batches(start, stop, share), 1 + ahead
        )
        with (
            progress_bar(stop, "step", self.progress and chief, initial=start) as bar,
            self.strategy.scope(),
            StopRequest.listening() as request,
            checkpoints.finishing(),
            ThreadPoolExecutor(1, "terms") as reader,
            _naming_what_takes_memory(),
        ):
            word = ""
            unread: deque[tuple[int, Future[Terms]]] = deque()

            def report() -> None:
                """Reads, checks and shows the terms of the first step that waits for it."""
                nonlocal word
                number, terms_of_step = unread.popleft()
                terms = terms_of_step.result()
                self._check_finite(terms, number, checkpoints)
                logged: dict[str, Any] = {
                    f"{objective}_loss/{name}": value
                    for objective, values in terms.items()
                    for name, value in values.items()
                }
                logged |= self.also_logged(number)
                epoch, left = divmod(number + 1, self.steps_per_epoch)
                if not left:
                    seen = after_epoch(epoch)
                    logged |= {**memory_in_use(self.strategy), **seen.values}
                    word = seen.word
                    bar.leanings = seen.leanings
                    if chief and seen.best is not None:
                        kept_with = {**self.metadata, BEST: seen.best}
                        tensors = finite_values(number + 1, self.state)
                        write(self.run.best, number + 1, tensors, kept_with)
                log(writer, logged, number)
                shown = number // self.steps_per_epoch + 1
                bar.title, bar.words = f"epoch {shown}/{self.epochs}", f"{_in_short(terms)} {word}"
                bar.update()

            for number, batch in zip(range(start, stop), distributed, strict=True):
                # To read a GPU's numbers is to wait for all that it was given before: a step's are
                # read aside, all at once, while the next one is given, except before its result is
                # used.
                computed = step(number, batch)
                values = tf.stack(tf.nest.flatten(computed))
                unread.append((number, reader.submit(_read, computed, values)))
                checkpoints.raise_failed()  # a full disk is no reason to compute on to the next one
                saves = chief and (due(number + 1) or number + 1 == stop)
                used = saves or (number + 1) % self.steps_per_epoch == 0
                while len(unread) > (0 if used else ahead):
                    report()
                asked = agreed_signal(self.strategy, request.signal)
                while asked and unread:
                    report()
                if saves or (chief and asked):
                    checkpoints.save(number + 1, self.state, self.metadata)
                if asked:
                    raise Stopped(asked, f"step {number + 1}")

    def _check_finite(self, terms: Terms, number: int, checkpoints: Checkpoints) -> None:
        for objective, values in terms.items():
            for name, value in values.items():
                if math.isfinite(value):
                    continue
                checkpoints.wait()
                kept = "The last checkpoint is kept"
                if not checkpoints.paths():
                    kept = "No checkpoint was written yet"
                raise TrainingDiverged(
                    f"The term {name} of the {objective} objective is {value} at step {number} "
                    f"(epoch {number // self.steps_per_epoch + 1}). {kept}; lower the learning "
                    "rate, in another `run_dir`."
                )


def steps_ahead(strategy: tf.distribute.Strategy) -> int:
    """Steps that are given to a device before the terms of an earlier one are waited for.

    A CPU has computed a step when it returns.
    """
    return 1 if on_gpus(strategy) else 0


@contextlib.contextmanager
def _naming_what_takes_memory() -> Iterator[None]:
    """Turns a step that does not fit into its device's memory into a ``BadInput``."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise BadInput(
            "A step does not fit into the memory of its device "
            f"({str(error.message).splitlines()[0][:200]}). Make what it keeps smaller, in another "
            "`run_dir`: precision=bfloat16 takes about half, `recompute` less for one more forward "
            "pass, and fewer `identities_per_batch` or `images_per_identity` less in proportion."
        ) from error


def _read(computed: Mapping[str, Mapping[str, tf.Tensor]], values: tf.Tensor) -> Terms:
    """The terms, whose values are [count]."""
    return tf.nest.pack_sequence_as(computed, values.numpy().tolist())


def _in_short(terms: Terms) -> str:
    """The terms that the weights follow, and what the architecture alone does."""
    shown = {**terms["weights"], **terms.get("architecture", {}), **terms["weights"]}
    return " ".join(f"{short_name(name)} {value:.3g}" for name, value in shown.items())


def checkpoint_due(every: str, steps_per_epoch: int) -> Callable[[int], bool]:
    """Makes the function that says after how many steps a checkpoint is due.

    Args:
      every: ``"epoch"``, a number of steps such as ``"500"``, or minutes such as ``"10m"``.
      steps_per_epoch: steps of an epoch.

    Raises:
      BadInput: ``every`` is nothing of these.
    """
    if every == "epoch":
        return lambda done: done % steps_per_epoch == 0
    if re.fullmatch(r"[1-9]\d*", every):
        return lambda done: done % int(every) == 0
    minutes = re.fullmatch(r"(\d+(?:\.\d+)?)m", every)
    if not minutes or not float(minutes[1]):
        raise BadInput(
            f"checkpoint_every={every!r} must be epoch, a number of steps such as 500, or "
            "minutes such as 10m."
        )
    last = time.monotonic()

    def due(_: int) -> bool:
        nonlocal last
        if time.monotonic() - last < 60.0 * float(minutes[1]):
            return False
        last = time.monotonic()
        return True

    return due
