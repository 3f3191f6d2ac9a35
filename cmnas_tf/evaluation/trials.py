"""The trials of a data set that comes with several splits: what is done, their mean and spread."""

import contextlib
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from cmnas_tf import settings
from cmnas_tf.data import LAYOUTS, load_dataset
from cmnas_tf.data.index import Dataset
from cmnas_tf.data.sampler import IdentitySampler
from cmnas_tf.errors import BadInput
from cmnas_tf.evaluation.measure import MEASURES
from cmnas_tf.evaluation.results_file import NAME, SCHEMA, read_results
from cmnas_tf.files import write_json
from cmnas_tf.tables import percent, table

Command = TypeVar("Command", settings.Train, settings.Evaluate)


@dataclass(frozen=True)
class TrialRun:
    """One training and its evaluation.

    Attributes:
      number: which of the data set's splits, from 1.
      train: settings of its training, in a run folder of its own.
      evaluate: settings of its evaluation.
      dataset: as it lies on disk now.
    """

    number: int
    train: settings.Train
    evaluate: settings.Evaluate
    dataset: Dataset

    @classmethod
    def of(cls, options: settings.Trials, number: int) -> "TrialRun":
        """Trial ``number`` by the settings of all.

        Raises:
          BadInput: its images are not there.
        """
        folder = Path(options.run.run_dir) / f"trial_{number:02d}"
        data = replace(options.data, trial=number)
        own = replace(options, data=data, run=replace(options.run, run_dir=str(folder)))
        dataset = load_dataset(data.dataset, data.data_dir, number)
        train, evaluate = _as(settings.Train, own), _as(settings.Evaluate, own)
        return cls(number, train, evaluate, dataset)

    @property
    def results_file(self) -> Path:
        """Where its results are, once there are any."""
        return Path(self.train.run.run_dir) / NAME

    def results(self) -> dict[str, Any] | None:
        """Its results, if they are of its newest checkpoint, these settings and these images."""
        try:
            found = read_results(self.results_file)
        except BadInput:
            return None
        test = self.dataset.test
        kept = test[~np.isin(test.paths, found["dataset"]["left_out"])]
        belonging = (
            found["training"]["settings"] == settings.shaping_result(self.train)
            and found["evaluation"]["settings"] == settings.shaping_result(self.evaluate)
            and found["checkpoint"]["sha256"] == _newest_digest(self.results_file.parent)
            and found["dataset"]["fingerprint"] == replace(self.dataset, test=kept).fingerprint
        )
        return found if belonging else None

    def is_finished(self) -> bool:
        """Whether there are such results, of a training that went to its end."""
        found = self.results()
        return found is not None and found["checkpoint"]["step"] == self._steps()

    def _steps(self) -> int:
        images, batch = self.dataset.train, self.train.batch
        identities, per_identity = batch.identities_per_batch, batch.images_per_identity
        sampler = IdentitySampler(images, np.unique(images.pids), identities, per_identity, 0, 0)
        return self.train.schedule.epochs * sampler.steps_per_epoch


def _as(command: type[Command], options: settings.Trials) -> Command:
    """The settings of another command: those that are here too, and defaults."""
    values: dict[str, dict[str, Any]] = {}
    for name, field in settings.fields(command):
        here = getattr(options, name, None)
        values.setdefault(name, {})[field.name] = getattr(here, field.name, field.default)
    groups = settings.groups(command)
    made: dict[str, Any] = {name: group(**values[name]) for name, group in groups.items()}
    return command(**made)


def _newest_digest(run_dir: Path) -> str | None:
    """What the newest checkpoint says that its digest is; its tensors are not read."""
    from safetensors import SafetensorError, safe_open

    paths = sorted((run_dir / "checkpoints").glob("step-*.safetensors"))
    with (
        contextlib.suppress(SafetensorError, IndexError),
        safe_open(paths[-1], framework="numpy") as file,
    ):
        return (file.metadata() or {}).get("sha256")
    return None


def trials_of(options: settings.Trials) -> list[TrialRun]:
    """The trials that ``--trials`` names, each in a folder of its own in ``--run_dir``.

    Raises:
      BadInput: there is no such trial, the data set has but one split, a folder is not given, or
        the images of a trial are not there.
    """
    data, layout = options.data, LAYOUTS[options.data.dataset]
    if layout.trials == 1:
        raise BadInput(
            f"{layout.title} comes with a single split into training and test images: one training "
            "is all there is. Use python -m cmnas_tf.train and python -m cmnas_tf.evaluate."
        )
    if data.trial != 1:
        raise BadInput(f"--trial={data.trial} names a single trial; give --trials={data.trial}.")
    if not options.run.run_dir:
        raise BadInput("--run_dir is empty; give the folder in which all trials are to be kept.")
    return [
        TrialRun.of(options, number) for number in _numbers(options.splits.trials, layout.trials)
    ]


def _numbers(text: str, highest: int) -> list[int]:
    """What ``all`` or a list such as ``1-3,7`` names, ascending."""
    if text == "all":
        return list(range(1, highest + 1))
    numbers: set[int] = set()
    for part in text.split(","):
        found = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
        if not 1 <= first <= last <= highest:
            raise BadInput(
                f"--trials={text}: there are trials 1 to {highest}; give all, or numbers and "
                f"ranges such as 1-3,7. Received: {part!r}"
            )
        numbers.update(range(first, last + 1))
    return sorted(numbers)


def summarise(trials: Sequence[TrialRun], file: Path) -> str:
    """Writes mean and spread of finished trials.

    Args:
      trials: one or more, all of them with results.
      file: what to write, JSON.

    Returns:
      A table for each setting that was measured.
    """
    results = {trial.number: read_results(trial.results_file) for trial in trials}
    first = next(iter(results.values()))
    summary = {
        setting: _summary({n: found["results"][setting] for n, found in results.items()})
        for setting in first["results"]
    }
    write_json(
        file,
        {
            "schema": SCHEMA,
            "layout": first["dataset"]["layout"],
            "protocol": first["protocol"],
            "checkpoints": {n: found["checkpoint"] for n, found in results.items()},
            "results": summary,
        },
    )
    tables = [_table(setting, found) for setting, found in summary.items()]
    return "\n\n".join([*tables, f"written to {file}"])


def _summary(trials: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    values = {key: [found[key] for found in trials.values()] for key in MEASURES}
    spread = {key: statistics.stdev(column) for key, column in values.items() if len(trials) > 1}
    return {
        "trials": {n: {key: found[key] for key in MEASURES} for n, found in trials.items()},
        "mean": {key: statistics.fmean(column) for key, column in values.items()},
        "sample_standard_deviation": spread or None,
    }


def _table(setting: str, summary: Mapping[str, Any]) -> str:
    lines = [[setting, *MEASURES.values()]]
    lines += [[f"trial {n}", *percent(found)] for n, found in summary["trials"].items()]
    lines.append(["mean", *percent(summary["mean"])])
    if spread := summary["sample_standard_deviation"]:
        lines.append(["standard deviation (sample, n - 1)", *percent(spread)])
    return table(lines)
