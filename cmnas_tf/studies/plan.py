"""What a study consists of: its cells, each an arm with a seed, and the settings of each."""

import json
import math
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from cmnas_tf import command_line, settings
from cmnas_tf.architecture import SHARED
from cmnas_tf.data import LAYOUTS
from cmnas_tf.errors import BadInput
from cmnas_tf.search_spaces.named_architecture import named_architecture
from cmnas_tf.studies.arms import Arm, arms_of

Command = TypeVar("Command", settings.Search, settings.Train, settings.Evaluate)

RESULTS, FAILURE = "results.json", "failure.json"
SCHEMA = 1  # of a cell's results and of study.json

_QUICK_SEEDS, _QUICK_PART = 2, 4


@dataclass(frozen=True)
class Cell:
    """An arm with a seed.

    Attributes:
      arm: the contender.
      seed: of its split, its weights, its batches.
      folder: ``RUN_DIR/ARM/seedN``, which holds ``search``, ``train`` and ``results.json``.
      search: settings of its search; None where it does not search.
      train: settings of its training; without an architecture where that is found or drawn.
      evaluate: settings of its evaluation.
      after: what must be finished before: the subject's cell, where a random one is drawn like it.
    """

    arm: Arm
    seed: int
    folder: Path
    search: settings.Search | None
    train: settings.Train
    evaluate: settings.Evaluate
    after: "Cell | None" = None

    @property
    def name(self) -> str:
        """What ``--cell`` takes."""
        return f"{self.arm.name}/seed{self.seed}"

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that shape its result, by command; the file of its architecture aside."""
        commands = {"search": self.search, "train": self.train, "evaluate": self.evaluate}
        return {
            name: settings.shaping_result(command) if command else None
            for name, command in commands.items()
        }

    def results(self) -> dict[str, Any] | None:
        """What it found, once it is finished.

        Raises:
          BadInput: it was done with other settings.
        """
        file = self.folder / RESULTS
        if not file.is_file():
            return None
        found = json.loads(file.read_text(encoding="utf-8"))
        if found["schema"] != SCHEMA or found["settings"] != self.settings:
            raise BadInput(
                f"{file} is of other settings than this study has now"
                f"{_first_difference(found['settings'], self.settings)}. Give the same ones to go "
                "on with it, or another --run_dir."
            )
        return found

    def failure(self) -> dict[str, Any] | None:
        """``{"exit_code", "message"}`` of its last attempt, if that failed."""
        file = self.folder / FAILURE
        return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def _apart_from(subject: str, like: tuple[str, ...]) -> str:
    return f" (with these flags {', '.join(like)} searches as {subject} does)" if like else ""


def _first_difference(before: dict[str, Any], now: dict[str, Any]) -> str:
    for command, values in now.items():
        old = before.get(command) or {}
        for name, value in (values or {}).items():
            if old.get(name) != value:
                return f" (--{name} of {command}: {old.get(name)!r} then, {value!r} now)"
    return ""


@dataclass(frozen=True)
class Study:
    """A study's cells, by its settings.

    Attributes:
      options: of the command.
      arms: its contenders.
      like_subject: names of arms that are left out, since with these flags their search is the
        subject's.
    """

    options: settings.Study
    arms: tuple[Arm, ...]
    like_subject: tuple[str, ...] = ()

    @classmethod
    def of(cls, options: settings.Study) -> "Study":
        """Reads the flags of all arms, so that what is wrong with one is said before any begins.

        Raises:
          BadInput: no folder given, a flag is not one of its command, or the arms do not have what
            they are compared by.
        """
        if not options.run.run_dir or not options.data.data_dir:
            raise BadInput(
                "Give --run_dir=FOLDER for what is done and --data_dir=FOLDER of images."
            )
        comparison = options.comparison
        train = _read(settings.Train, options, options.recipes.train_flags, ())
        shared = named_architecture(SHARED, train.network)
        arms = arms_of(comparison.arms, shared, comparison.random_architectures)
        if options.queue.quick:
            seeds = min(comparison.seeds, _QUICK_SEEDS)
            options = replace(options, comparison=replace(comparison, seeds=seeds))
            arms = [arm for arm in arms if arm.row in (comparison.subject, *comparison.against)]
        subject = [arm for arm in arms if arm.name == comparison.subject and arm.flags is not None]
        if not subject:
            raise BadInput(
                f"--subject={comparison.subject} must be a search among --arms="
                f"{','.join(comparison.arms)}."
            )
        study = cls(options, tuple(arms))._without_repeats()
        if unknown := set(comparison.against) - {arm.row for arm in study.arms}:
            raise BadInput(
                f"--against={','.join(comparison.against)}: no arm {', '.join(sorted(unknown))} is "
                f"among --arms={','.join(comparison.arms)}"
                f"{_apart_from(comparison.subject, study.like_subject)}."
            )
        for cell in study.cells():
            if cell.arm.architecture:
                named_architecture(cell.arm.architecture, cell.train.network)
        return study

    def _without_repeats(self) -> "Study":
        """This study without the arms that search as the subject does."""
        subject, *others = (cell for cell in self.of_seed(0) if cell.search is not None)
        like = {
            cell.arm for cell in others if cell.settings["search"] == subject.settings["search"]
        }
        return replace(
            self,
            arms=tuple(arm for arm in self.arms if arm not in like),
            like_subject=tuple(arm.name for arm in self.arms if arm in like),
        )

    def cells(self) -> list[Cell]:
        """All cells: seed by seed, the searches first, what is drawn like the subject's last."""
        return [
            cell for seed in range(self.options.comparison.seeds) for cell in self.of_seed(seed)
        ]

    def of_seed(self, seed: int) -> list[Cell]:
        """The cells of a seed."""
        subject = next(arm for arm in self.arms if arm.name == self.options.comparison.subject)
        first = self._cell(subject, seed)
        others = sorted(
            (arm for arm in self.arms if arm != subject),
            key=lambda arm: (arm.draw, arm.flags is None),
        )
        return [first, *(self._cell(a, seed, first if a.draw else None) for a in others)]

    def cell(self, name: str) -> Cell:
        """The cell called ``name``.

        Raises:
          BadInput: there is none.
        """
        for cell in self.cells():
            if cell.name == name:
                return cell
        raise BadInput(f"--cell={name}: no such cell; --dry_run lists them.")

    def _cell(self, arm: Arm, seed: int, after: Cell | None = None) -> Cell:
        options, recipes = self.options, self.options.recipes
        folder = Path(options.run.run_dir) / arm.name / f"seed{seed}"
        data = options.data
        trial = (data.trial - 1 + seed) % LAYOUTS[data.dataset].trials + 1
        where = (f"--data_dir={data.data_dir}", f"--dataset={data.dataset}", f"--trial={trial}")
        seeded = (*where, f"--seed={seed}")
        search, trained = folder / "search", f"--run_dir={folder / 'train'}"
        architecture = (f"--architecture={arm.architecture}",) if arm.architecture else ()
        return Cell(
            arm,
            seed,
            folder,
            None
            if arm.flags is None
            else _read(
                settings.Search,
                options,
                recipes.search_flags,
                (*arm.flags, *seeded, f"--run_dir={search}"),
            ),
            _read(settings.Train, options, recipes.train_flags, (*seeded, trained, *architecture)),
            _read(settings.Evaluate, options, recipes.evaluate_flags, (*where, trained)),
            after,
        )


def _read(
    command: type[Command], options: settings.Study, common: str, own: tuple[str, ...]
) -> Command:
    """The settings of a command from the study's flags and an arm's own, which win."""
    name = f"cmnas_tf.{command.__name__.lower()}"
    try:
        found = command_line.read(command, [name, *shlex.split(common), *own])
    except BadInput as error:
        raise BadInput(f"{name} {common} {' '.join(own)}: {error}") from error
    return _shortened(found) if options.queue.quick else found


def _shortened(command: Command) -> Command:
    """A quarter of the epochs, and of all that is counted in them."""
    if isinstance(command, settings.Evaluate):
        return command
    schedule, optimizer = command.schedule, command.optimizer
    changes: dict[str, Any] = {"epochs": math.ceil(schedule.epochs / _QUICK_PART)}
    if isinstance(schedule, settings.SearchSchedule):
        changes["warmup_epochs"] = schedule.warmup_epochs // _QUICK_PART
    return replace(
        command,
        schedule=replace(schedule, **changes),
        optimizer=replace(
            optimizer,
            learning_rate_warmup=optimizer.learning_rate_warmup / _QUICK_PART,
            decay_epochs=tuple(epoch / _QUICK_PART for epoch in optimizer.decay_epochs),
        ),
    )
