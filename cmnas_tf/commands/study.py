"""``cmnas study``: does the search help? Every arm with every seed, then the answer.

A cell is an arm with a seed: a search where the arm has one, a training, an evaluation. Whatever
interrupted it, rerun the same command to resume; what is finished is not done again. It exits with
1 where a cell failed: the others are done, and the same command tries that one again.
"""

import shlex
from dataclasses import dataclass
from pathlib import Path

from cmnas_tf.commands.command_line import arguments
from cmnas_tf.commands.executor import Executor, say
from cmnas_tf.commands.options_of_runs import RUN_DIR, DataFolder
from cmnas_tf.commands.processes import run_command
from cmnas_tf.commands.words import flag_behind, in_flags
from cmnas_tf.devices.threads import Threads, threads_to_use
from cmnas_tf.errors import BadInput
from cmnas_tf.options import Options, advanced, option, path_option, prefixed
from cmnas_tf.studies.arms import Comparison
from cmnas_tf.studies.plan import Evaluating, Searching, Study, StudyData, Training


@dataclass(frozen=True, kw_only=True)
class StudyCommand(Options):
    """Compares searches and architectures: every arm with every seed, then what they say together.

    The options of searches, trainings and evaluations have the prefixes ``search.``, ``train.`` and
    ``evaluate.``, and --search.flagfile=FILE reads those of a file; what that says of data, folder
    and seed is passed over, since the study says it.
    """

    run_dir: str = path_option(RUN_DIR, required=True, affects_result=False)
    people: str = path_option(
        "Flagfile of make_synthetic: the people that `data_dir` shall hold, drawn where it does "
        "not exist."
    )
    cell: str = advanced(
        "", "Do this cell alone, here: ARM/seedN, as `dry_run` lists them.", affects_result=False
    )
    dry_run: bool = option(
        False, "List all cells, and count their steps; do nothing.", affects_result=False
    )
    data: DataFolder = DataFolder()
    threads: Threads = Threads()
    executing: Executor = Executor()
    comparison: Comparison = Comparison()
    search: Searching = prefixed("search", Searching())
    train: Training = prefixed("train", Training())
    evaluate: Evaluating = prefixed("evaluate", Evaluating())

    @staticmethod
    def rewritten(word: str) -> list[str] | None:
        """A flag of earlier versions, whose value was flags, in today's words; of what the study
        says itself none; else None.

        Raises:
          BadInput: nothing does what the flag did.
        """
        name, _, value = word.lstrip("-").partition("=")
        if name == "measure_steps":
            raise BadInput(
                "--measure_steps is gone. --dry_run counts the steps; once a cell has finished, "
                "the study says how long the others take."
            )
        if name in _SAID_BY_STUDY:
            return []
        if name not in _FLAGS_IN_FLAGS:
            return None
        prefix = _FLAGS_IN_FLAGS[name]
        return [flag_behind(prefix, flag) for flag in shlex.split(value)]


_FLAGS_IN_FLAGS = {"search_flags": "search", "train_flags": "train", "evaluate_flags": "evaluate"}
_SAID_BY_STUDY = {
    f"{prefix}.{name}"
    for prefix in _FLAGS_IN_FLAGS.values()
    for name in ("data_dir", "dataset", "trial", "run_dir", "seed")
}


def make(command: StudyCommand) -> Study:
    """The study that a command asks for."""
    data = command.data
    return Study.of(
        Path(command.run_dir),
        StudyData(data.layout, data.data_dir, data.trial),
        command.comparison,
        command.search,
        command.train,
        command.evaluate,
    )


def main(command: StudyCommand) -> None:
    """Runs all remaining cells, or one, or lists them; then says what they found."""
    study = make(command)
    if command.dry_run:
        from cmnas_tf.studies.budget import describe

        print(in_flags(describe(study, bool(command.people)), command.options()))
        return
    threads = threads_to_use(command.threads.threads, study.threads())
    if command.cell:
        from cmnas_tf.studies.run_cell import run_cell

        run_cell(study.cell(command.cell), threads)
        return

    from cmnas_tf.studies.queue import Queue
    from cmnas_tf.studies.report import report

    if command.people:
        people = f"--flagfile={command.people}"
        run_command("make_synthetic", people, f"--data_dir={command.data.data_dir}")
        study = make(command)  # the folder tells now which data set it is
    own = [*arguments(command), f"--threads={threads}"]
    cells = Queue(study.cells(), say)
    if cells.waiting:
        command.data.load_listed()  # or every cell would refuse it by itself
        start, jobs = command.executing.prepare(
            lambda cell: ["study", *own, f"--cell={cell.name}"], threads, [command.data.data_dir]
        )
        cells.run(start, jobs)
    print(report(study))
    if cells.failed:
        raise SystemExit(1)
