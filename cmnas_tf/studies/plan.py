"""What a study consists of: its cells, each an arm with a seed, and what each is made of."""

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from cmnas_tf.architecture import SHARED
from cmnas_tf.data import LAYOUTS
from cmnas_tf.errors import BadInput
from cmnas_tf.evaluation.matching import Arithmetic, Matching, ProtocolChoice
from cmnas_tf.modality import MODALITIES
from cmnas_tf.options import Options, described, errors_behind
from cmnas_tf.reading import read_json
from cmnas_tf.runs.how_it_runs import HowItRuns
from cmnas_tf.runs.run_folder import ANYTHING, RunFolder, changed
from cmnas_tf.search_spaces import SearchSpace, SpaceChoice
from cmnas_tf.search_spaces.named_architecture import NetworkChoice
from cmnas_tf.searching import AlgorithmChoice, SearchAlgorithm
from cmnas_tf.searching.algorithm import Modality
from cmnas_tf.studies.arms import Arm, Comparison, arms_of
from cmnas_tf.training.recipe import TOLD_OTHERWISE, Recipe, WeightTraining
from cmnas_tf.training.recipes import ByRecipe

SCHEMA = 1  # of a cell's results and of study.json

_RESULTS = {
    "schema": int,
    "settings": {str: dict | None},
    "seconds": {str: float | int | None},
    "results": {str: {"mAP": float}},
}
_REMOVE = "Remove it to do the cell again."

_QUICK_SEEDS, _QUICK_PART = 2, 4


@dataclass(frozen=True, kw_only=True)
class Searching(ByRecipe):
    """Every search of a study."""

    kind: ClassVar[str] = "search"
    space: SpaceChoice = SpaceChoice()
    algorithm: AlgorithmChoice = AlgorithmChoice()
    modality: Modality = Modality()
    how: HowItRuns = HowItRuns()

    def make(self) -> tuple[SearchSpace, SearchAlgorithm]:
        """The space and the algorithm.

        Raises:
          BadInput: an option that means nothing to them, or a value that is not allowed.
        """
        with of_part("search"):
            return self.space.make(), self.algorithm.make()


@dataclass(frozen=True, kw_only=True)
class Training(ByRecipe):
    """Every training of a study."""

    kind: ClassVar[str] = "train"
    network: NetworkChoice = NetworkChoice()
    recipe: Recipe = Recipe()
    how: HowItRuns = HowItRuns()


@dataclass(frozen=True, kw_only=True)
class Evaluating(Options):
    """Every evaluation of a study."""

    protocol: ProtocolChoice = ProtocolChoice()
    matching: Matching = Matching()
    arithmetic: Arithmetic = Arithmetic()
    how: HowItRuns = HowItRuns()


PARTS: dict[str, type[Options]] = {"search": Searching, "train": Training, "evaluate": Evaluating}


def of_part(part: str) -> AbstractContextManager[None]:
    """Within it, errors name a part's options behind the name of the part: ``search.epochs``."""
    return errors_behind(f"{part}.", PARTS[part])


@dataclass(frozen=True)
class StudyData:
    """Which images a study is about."""

    layout: str
    root: str
    trial: int = 1  # the split of seed 0; each further seed takes the next one, round and round

    @property
    def modalities(self) -> tuple[str, ...]:
        """Of the training images, as their authors say; both where they say nothing."""
        published = LAYOUTS[self.layout].published
        return tuple(m for m in MODALITIES if f"train {m}" in published) or MODALITIES


@dataclass(unsafe_hash=True)
class StudyCell:
    """An arm of a study with a seed: of its split, its weights, its batches.

    Attributes:
      name: ``ARM/seedN``.
      trial: the split of the data set.
      folder: of all that is kept of it.
      search_run: the run of its search.
      train_run: the run of its training, evaluated there.
      results_file: what it found; written last.
      failure_file: why its last attempt failed, if it did.
      log_file: what its processes said.
    """

    study: "Study" = field(hash=False, repr=False)
    arm: Arm
    seed: int

    def __post_init__(self) -> None:
        data = self.study.data
        self.name = f"{self.arm.name}/seed{self.seed}"
        self.trial = (data.trial - 1 + self.seed) % LAYOUTS[data.layout].trials + 1
        self.folder = self.study.folder / self.name
        self.search_run = RunFolder(self.folder / "search")
        self.train_run = RunFolder(self.folder / "train")
        self.results_file = self.folder / "results.json"
        self.failure_file = self.folder / "failure.json"
        self.log_file = self.folder / "log.txt"

    @cached_property
    def searching(self) -> Searching | None:
        """Its search; None where it does not search."""
        if self.arm.changes is None:
            return None
        found = self.study.searching.with_values(**self.arm.changes)
        # What was given for the space or algorithm of another arm is that one's.
        return replace(
            found,
            space=found.space.of_entry(found.space.name),
            algorithm=found.algorithm.of_entry(found.algorithm.name),
        )

    @property
    def training(self) -> Training:
        """Its training; without an architecture where that is found or drawn."""
        training, named = self.study.training, self.arm.architecture
        if not named:
            return training
        return replace(training, network=replace(training.network, architecture=named))

    @property
    def kind(self) -> str:
        """What takes about as long: each search is a kind, and all that only train."""
        return self.arm.name if self.searching is not None else "train"

    @cached_property
    def after(self) -> "StudyCell | None":
        """What must be finished before: the subject's cell, where a random one is drawn like it."""
        return self.study.of_seed(self.seed)[0] if self.arm.draw else None

    @property
    def settings(self) -> dict[str, dict[str, Any] | None]:
        """The options that affect its result, by what is done."""
        data, search = {"dataset": self.study.data.layout, "trial": self.trial}, None
        if searching := self.searching:
            search = {
                **data,
                "seed": self.seed,
                "search_space": searching.space.name,
                "algorithm": searching.algorithm.name,
                **described([*searching.make(), searching.modality]),
            }
        return {
            "search": search,
            "train": {**data, "seed": self.seed, **described([self.training])},
            "evaluate": {**data, "weights": "average", **described([self.study.evaluating])},
        }

    def results(self) -> dict[str, Any] | None:
        """What it found, once it is finished.

        Raises:
          BadInput: it was done with other options.
        """
        if not self.results_file.is_file():
            return None
        found = read_json(self.results_file, _RESULTS, "what a cell found", _REMOVE)
        differing = _differences(found["settings"], self)
        if found["schema"] != SCHEMA or differing:
            raise BadInput(
                f"{self.results_file} is of other settings than this study has now"
                f"{f' ({differing[0]})' if differing else ''}. Give the same ones to resume it, or "
                "another `run_dir`."
            )
        return found

    def failure(self) -> dict[str, Any] | None:
        """``{"exit_code", "message"}`` of its last attempt, if that failed."""
        file = self.failure_file
        form = {"exit_code": int, "message": str}
        return read_json(file, form, "a failure", _REMOVE) if file.is_file() else None


def _differences(before: Mapping[str, Any], cell: StudyCell) -> list[str]:
    """In which options a finished cell differs from what it is to be now."""
    found: list[str] = []
    for part, now in cell.settings.items():
        old = before.get(part)
        if old is not None and now is not None:
            options = PARTS[part].options()
            others: dict[str, Any] = {o.name: o.recorded(o.default) for o in options}
            others |= {"algorithm": "darts", "checkpoint": ANYTHING, **TOLD_OTHERWISE}
            found += [f"{part}: {what}" for what in changed(old, now, options, others)]
        elif old is not now:
            found.append(f"{part}: {'not' if now is None else 'only'} done now")
    return found


@dataclass(frozen=True)
class Study:
    """A study's cells.

    Attributes:
      folder: of all its cells.
      comparison: what is compared.
      searching, training, evaluating: what all arms have in common.
      like_subject: names of arms that are left out, since with these options their search is the
        subject's.
    """

    folder: Path
    data: StudyData
    comparison: Comparison
    searching: Searching
    training: Training
    evaluating: Evaluating
    arms: tuple[Arm, ...] = ()
    like_subject: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        folder: Path,
        data: StudyData,
        comparison: Comparison,
        searching: Searching,
        training: Training,
        evaluating: Evaluating,
    ) -> "Study":
        """Makes the cells of all arms, so that what is wrong with one is said before any begins.

        Raises:
          BadInput: an option is not one of what it is for, or the arms do not have what they are
            compared by.
        """
        with of_part("train"):
            backbone = replace(training.network, architecture=SHARED).make().backbone
            training = replace(training, recipe=training.recipe.for_modalities(data.modalities))
        arms = arms_of(comparison.arms, backbone, comparison.random_architectures)
        searches = [arm.changes for arm in arms if arm.changes is not None]
        with of_part("search"):
            only = searching.modality.modality
            images = data.modalities if only == "all" else (only,)
            searching = replace(searching, algorithm=searching.algorithm.for_modalities(images))
            for choice in (searching.space, searching.algorithm) if searches else ():
                entries = [changes.get(choice.selector.name, choice.name) for changes in searches]
                choice.require_meaning(list(dict.fromkeys(entries)))
        subject, against = comparison.subject, comparison.against
        if comparison.quick:
            comparison = replace(comparison, seeds=min(comparison.seeds, _QUICK_SEEDS))
            arms = [arm for arm in arms if arm.row in (subject, *against)]
            searching = replace(searching, algorithm=_shortened(searching.algorithm))
            training = replace(training, recipe=_shortened(training.recipe))
        among = f"among arms={','.join(comparison.arms)}"
        of_subject = next((arm for arm in arms if arm.name == subject), None)
        if of_subject is None:
            raise BadInput(f"subject={subject} must be one {among}.")
        if of_subject.changes is None and any(arm.draw for arm in arms):
            raise BadInput(
                f"subject={subject} finds no architecture that random ones could be drawn like; "
                f"it must be a search {among}. Or leave the arm `random` out."
            )
        study = cls(folder, data, comparison, searching, training, evaluating, tuple(arms))
        settings = {cell.arm.name: cell.settings["search"] for cell in study.of_seed(0)}
        searched = settings.pop(subject)
        like = tuple(name for name, other in settings.items() if searched and other == searched)
        arms = [arm for arm in arms if arm.name not in like]
        if unknown := set(against) - {arm.row for arm in arms}:
            apart = f" (with these options {', '.join(like)} searches as {subject} does)"
            raise BadInput(
                f"against={','.join(against)}: no arm {', '.join(sorted(unknown))} is {among}"
                f"{apart if like else ''}."
            )
        study = replace(study, arms=tuple(arms), like_subject=like)
        with of_part("train"):
            for cell in study.of_seed(0):
                if cell.arm.architecture:
                    cell.training.network.make()
        return study

    @property
    def settings(self) -> dict[str, Any]:
        """The options that the study's findings follow from, by part."""
        return {
            "data": {"dataset": self.data.layout, "trial": self.data.trial},
            "comparison": described([self.comparison]),
            "search": described([self.searching]),
            "train": described([self.training]),
            "evaluate": described([self.evaluating]),
        }

    def cells(self) -> list[StudyCell]:
        """All cells: seed by seed, the searches first, what is drawn like the subject's last."""
        return [cell for seed in range(self.comparison.seeds) for cell in self.of_seed(seed)]

    def threads(self) -> int:
        """How many threads share an operation, in all its runs; 0 where none has begun."""
        runs = (run for cell in self.cells() for run in (cell.search_run, cell.train_run))
        return next(filter(None, (run.threads() for run in runs)), 0)

    def of_seed(self, seed: int) -> list[StudyCell]:
        """The cells of a seed, the subject's first."""
        subject = self.comparison.subject
        in_order = sorted(
            self.arms, key=lambda arm: (arm.name != subject, arm.draw, arm.changes is None)
        )
        return [StudyCell(self, arm, seed) for arm in in_order]

    def cell(self, name: str) -> StudyCell:
        """The cell called ``name``.

        Raises:
          BadInput: there is none.
        """
        for cell in self.cells():
            if cell.name == name:
                return cell
        raise BadInput(f"cell={name}: no such cell; `dry_run` lists them.")


def _shortened(component: Any) -> Any:
    """A quarter of the epochs, and of all that is counted in them."""
    choice = isinstance(component, AlgorithmChoice)
    made: WeightTraining = component.of_entry(component.name).make() if choice else component
    values = made.values()
    changes: dict[str, Any] = {
        "epochs": math.ceil(values["epochs"] / _QUICK_PART),
        "learning_rate_warmup": values["learning_rate_warmup"] / _QUICK_PART,
        "decay_epochs": tuple(epoch / _QUICK_PART for epoch in values["decay_epochs"]),
    }
    if "warmup_epochs" in values:
        changes["warmup_epochs"] = values["warmup_epochs"] // _QUICK_PART
    return component.with_values(**changes)
