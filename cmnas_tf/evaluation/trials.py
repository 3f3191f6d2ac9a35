"""The trials of a data set that comes with several splits: what is done, their mean and spread."""

import contextlib
import os
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cmnas_tf.architecture import Architecture
from cmnas_tf.data import LAYOUTS
from cmnas_tf.data.index import Dataset
from cmnas_tf.data.protocols import Protocol
from cmnas_tf.data.sampling import IdentitySampler
from cmnas_tf.errors import BadInput
from cmnas_tf.evaluation.matching import Matching, evaluation_settings
from cmnas_tf.evaluation.results_file import SCHEMA, read_results, results_files
from cmnas_tf.files import write_json
from cmnas_tf.retrieval.measure import MEASURES, percent
from cmnas_tf.runs.run_folder import ANYTHING, RunFolder, changed
from cmnas_tf.search_spaces.named_architecture import NetworkChoice
from cmnas_tf.tables import table
from cmnas_tf.training.recipe import TOLD_OTHERWISE, Recipe, training_settings


class TrialRun:
    """Trial ``number`` of a data set: one training and its evaluation, in a run folder of its own.

    Attributes:
      number: which of the data set's splits, from 1.
      run: the folder of its training, evaluated there.
      training, evaluation: the options that affect its result, by name.
      of_training, of_evaluation: what there is to know of these options.
    """

    def __init__(
        self,
        number: int,
        folder: str | os.PathLike[str],
        dataset: Dataset,
        network: NetworkChoice,
        recipe: Recipe,
        seed: int,
        protocol: Protocol,
        matching: Matching,
    ):
        self.number, self.run, self.dataset = number, RunFolder(folder), dataset
        self.architecture = network.make()
        self.recipe = recipe.for_modalities(dataset.modalities)
        self.training = training_settings(
            dataset, self.recipe, seed, network.width, network.last_stride, network.parts
        )
        self.evaluation = evaluation_settings(
            dataset, protocol, matching, "average", self.recipe.numerics.precision
        )
        self.of_training = [*self.recipe.options(), *network.parts.options()]
        self.of_evaluation = [*protocol.options(), *matching.options()]

    def results(self) -> dict[str, Any] | None:
        """Its results, if they are of its newest checkpoint, these options and these images."""
        for file in results_files(self.run):
            with contextlib.suppress(BadInput):
                if self._gave(found := read_results(file)):
                    return found
        return None

    def _gave(self, found: dict[str, Any]) -> bool:
        test = self.dataset.test
        kept = test[~np.isin(test.paths, found["dataset"]["left_out"])]
        training, evaluation = found["training"]["settings"] or {}, found["evaluation"]["settings"]
        others = dict.fromkeys(evaluation, ANYTHING)
        return (
            not changed(training, self.training, self.of_training, TOLD_OTHERWISE)
            and not changed(evaluation, self.evaluation, self.of_evaluation, others)
            and Architecture.load(self.run.architecture) == self.architecture
            and found["checkpoint"]["sha256"] == self.run.newest_digest()
            and found["dataset"]["fingerprint"] == replace(self.dataset, test=kept).fingerprint
        )

    def is_finished(self) -> bool:
        """Whether there are such results, of a training that went to its end."""
        if not (found := self.results()):
            return False
        planned = found["training"].get("planned_steps") or self._steps()
        return bool(found["checkpoint"]["step"] == planned)

    def _steps(self) -> int:
        """Of the whole training, of all its images; earlier versions did not record them."""
        images, sampling = self.dataset.train, self.recipe.sampling
        sampler = IdentitySampler(images, np.unique(images.pids), sampling, 0, 0)
        return self.recipe.epochs * sampler.steps_per_epoch


def numbers_of(text: str, dataset: str) -> list[int]:
    """The trials of a data set that ``all`` or a list such as ``1-3,7`` names, ascending.

    Raises:
      BadInput: there is no such trial, or the data set has but one split.
    """
    layout = LAYOUTS[dataset]
    if layout.trials == 1:
        raise BadInput(
            f"{layout.title} comes with a single split into training and test images: one training "
            "is all there is. Use `train_network` and `evaluate_network`."
        )
    if text == "all":
        return list(range(1, layout.trials + 1))
    numbers: set[int] = set()
    for part in text.split(","):
        found = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
        if not 1 <= first <= last <= layout.trials:
            raise BadInput(
                f"splits={text}: there are trials 1 to {layout.trials}; give all, or numbers and "
                f"ranges such as 1-3,7. Received: {part!r}"
            )
        numbers.update(range(first, last + 1))
    return sorted(numbers)


def summarise(trials: Sequence[TrialRun], file: Path) -> str:
    """Writes mean and spread of trials that all have results, JSON; a table for each setting."""
    results = {t.number: t.results() or read_results(t.run.results) for t in trials}
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
