"""``python -m cmnas_tf.trials``: train and evaluate on each of a data set's own splits.

Whatever interrupted it, the same command goes on; what is finished is not done again.
"""

from pathlib import Path

from cmnas_tf import command_line, settings
from cmnas_tf.processes import run_command


def main(options: settings.Trials) -> None:
    """Trains and evaluates one trial after the other; shows their mean and spread."""
    from cmnas_tf.evaluation.trials import summarise, trials_of

    trials = trials_of(options)
    for place, trial in enumerate(trials, start=1):
        print(f"\ntrial {trial.number} ({place} of {len(trials)})", flush=True)
        if trial.is_finished():
            print(f"finished before: {trial.results_file}")
            continue
        run_command("cmnas_tf.train", *command_line.arguments(trial.train))
        if trial.results() is None:
            run_command("cmnas_tf.evaluate", *command_line.arguments(trial.evaluate))
    print(f"\n{summarise(trials, Path(options.run.run_dir) / 'trials.json')}")


if __name__ == "__main__":
    command_line.run(main, settings.Trials)
