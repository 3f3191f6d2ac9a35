"""``python -m cmnas_tf.study``: does the search help? Every arm with every seed, then the answer.

A cell is an arm with a seed: a search where the arm has one, a training, an evaluation. Whatever
interrupted it, the same command goes on; what is finished is not done again. It exits with 1 where
a cell failed: the others are done, and the same command tries that one again.
"""

from cmnas_tf import command_line, settings
from cmnas_tf.processes import run_command


def main(options: settings.Study) -> None:
    """Works off all cells, or one, or lists them; then says what they found."""
    from cmnas_tf.studies.plan import Study

    study = Study.of(options)
    queue = options.queue
    if queue.dry_run or queue.measure_steps:
        from cmnas_tf.studies.budget import describe

        print(describe(study))
        return
    if queue.cell:
        from cmnas_tf.studies.run_cell import work

        work(study, study.cell(queue.cell))
        return

    from cmnas_tf.studies.queue import Queue, starter
    from cmnas_tf.studies.report import report

    if options.recipes.people:
        people = f"--flagfile={options.recipes.people}"
        run_command("cmnas_tf.make_synthetic", people, f"--data_dir={options.data.data_dir}")
    cells = Queue(study.cells(), queue.jobs, starter(options))
    cells.run()
    print(report(study))
    if cells.failed:
        raise SystemExit(1)


if __name__ == "__main__":
    command_line.run(main, settings.Study)
