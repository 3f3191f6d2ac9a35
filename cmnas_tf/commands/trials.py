"""``cmnas trials``: train and evaluate on each of a data set's own splits.

Whatever interrupted it, rerun the same command to resume; what is finished is not done again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmnas_tf.commands.command_line import arguments
from cmnas_tf.commands.evaluate import Evaluate
from cmnas_tf.commands.executor import Executor, say
from cmnas_tf.commands.processes import run_command
from cmnas_tf.commands.train import Train
from cmnas_tf.devices.threads import threads_to_use
from cmnas_tf.errors import BadInput
from cmnas_tf.evaluation.matching import Matching, ProtocolChoice
from cmnas_tf.evaluation.trials import TrialRun, numbers_of, summarise
from cmnas_tf.options import advanced, option
from cmnas_tf.studies.queue import Queue


class Directions(ProtocolChoice):
    """Who asks, in the test protocols."""

    @classmethod
    def options(cls):
        """The direction alone."""
        return [known for known in super().options() if known.name == "direction"]


@dataclass(frozen=True, kw_only=True)
class Trials(Train):
    """Trains and evaluates every trial; shows their mean and spread."""

    splits: str = option(
        "all",
        "Trials to do and to sum up: all, or numbers and ranges such as 1-3,7.",
        old_names=("trials",),
    )
    summary: bool = advanced(True, "Say what all these trials reached.", affects_result=False)
    protocol: Directions = Directions()
    matching: Matching = Matching()
    executing: Executor = Executor()


def main(command: Trials) -> None:
    """Runs the remaining trials, and says what all of them reached."""
    trials = trials_of(command)
    if command.executing.executor == "local" and command.executing.jobs < 2:
        _one_by_one(trials)
    else:
        _side_by_side(command, [QueuedTrial(trial) for trial, _, _ in trials])
    if command.summary:
        summary = summarise([t for t, _, _ in trials], Path(command.run.run_dir) / "trials.json")
        print(f"\n{summary}")


def _one_by_one(trials: Sequence[tuple[TrialRun, Train, Evaluate]]) -> None:
    """In this terminal."""
    for place, (trial, train, evaluate) in enumerate(trials, start=1):
        print(f"\ntrial {trial.number} ({place} of {len(trials)})", flush=True)
        if trial.is_finished():
            print(f"finished before: {trial.run.results}")
            continue
        trial.run.wait_until_unused()
        run_command("train", *arguments(train))
        if trial.results() is None:
            run_command("evaluate", *arguments(evaluate))


class QueuedTrial:
    """A trial as a study's queue knows its cells; what it says is written beside its folder."""

    kind, after = "trial", None

    def __init__(self, trial: TrialRun):
        self.trial, path = trial, trial.run.path
        self.name, self.folder = path.name, path.parent
        self.log_file, self.failure_file = path.with_suffix(".log"), path.with_suffix(".failure")

    def results(self) -> dict[str, Any] | None:
        """What it reached, once it is finished."""
        return self.trial.results() if self.trial.is_finished() else None


def _side_by_side(command: Trials, trials: Sequence[QueuedTrial]) -> None:
    """Each by this command, of itself alone."""
    begun = next(filter(None, (each.trial.run.threads() for each in trials)), 0)
    threads = threads_to_use(command.threads.threads, begun)
    alone = ["--executor=local", "--jobs=1", "--nosummary", f"--threads={threads}"]
    own = ["trials", *arguments(command), *alone]
    queue = Queue(trials, say)
    if queue.waiting:
        start, jobs = command.executing.prepare(
            lambda cell: [*own, f"--splits={cell.name.partition('_')[2]}"],
            threads,
            [command.data.data_dir],
        )
        queue.run(start, jobs)
    if queue.failed:
        raise SystemExit(1)


def trials_of(command: Trials) -> list[tuple[TrialRun, Train, Evaluate]]:
    """The trials that are asked for, each in a folder of its own, and the commands that do them.

    Raises:
      BadInput: there is no such trial, the data set has but one split, or the images of a trial are
        not there.
    """
    if command.data.trial != 1:
        raise BadInput(
            f"trial={command.data.trial} names a single trial; give splits={command.data.trial}."
        )
    return [_trial(command, number) for number in numbers_of(command.splits, command.data.layout)]


def _trial(command: Trials, number: int) -> tuple[TrialRun, Train, Evaluate]:
    folder = str(Path(command.run.run_dir) / f"trial_{number:02d}")
    # What the two have in common, the precision too, has one name.
    values = {**command.values(), "run_dir": folder, "trial": number}
    train, evaluate = Train.of_values(values), Evaluate.of_values(values)
    trial = TrialRun(
        number,
        folder,
        train.data.load_listed(),
        command.network,
        command.recipe,
        command.run.seed,
        command.protocol.make(command.data.layout),
        command.matching,
    )
    return trial, train, evaluate
