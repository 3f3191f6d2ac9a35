"""The folder of a run: what lies where in it, whose it is, and whether it may be resumed.

Importing this file needs no TensorFlow.
"""

import contextlib
import logging
import os
import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from cmnas_tf.architecture import FILE_NAME
from cmnas_tf.errors import BadInput
from cmnas_tf.files import locked, remains, sha256, write_json
from cmnas_tf.options import Option
from cmnas_tf.reading import read_json
from cmnas_tf.runs.checkpoints import DIGEST, Checkpoint, Checkpoints

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Description:
    """What a run's result follows from; ``run.json`` holds it."""

    command: str  # ``"search"`` or ``"train"``
    data: str  # the fingerprint of the images
    settings: Mapping[str, Any]  # the options that affect the result, by name
    devices: int  # how many compute it
    # How many it takes, where that is known; 0 where not. A run may be given others.
    steps: int = 0
    threads: int = 0  # how many share an operation on the CPU; 0 where an earlier version began it


class RunFolder:
    """The folder of a run, which alone knows what lies where in it.

    Attributes:
      path: of the folder.
      description: what the run is, see :class:`Description`.
      architecture: the architecture that was found, or that is trained.
      split: which images a search's weights and architecture learn from.
      latency: how long an image takes through the network that a search derived.
      candidates: the folder of the runs of a search that trains its candidates one by one.
      fitness: how good such a candidate is.
      results_folder: what evaluations measured, a file for each.
      looks: what there is to see of these, a file of the same name for each.
      results: the newest of these, or what an earlier version wrote in its place.
      tensorboard: the folder of TensorBoard's logs.
      checkpoint_folder: the folder of the checkpoints.

    Args:
      path: of the folder; None for a temporary one, which vanishes with this object.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None):
        self._temporary = tempfile.TemporaryDirectory(prefix="cmnas_tf-") if path is None else None
        self.path = Path(self._temporary.name if self._temporary else str(path))
        self.description = self.path / "run.json"
        self.architecture = self.path / FILE_NAME
        self.split = self.path / "split.json"
        self.latency = self.path / "latency.json"
        self.candidates = self.path / "candidates"
        self.fitness = self.path / "fitness.json"
        self.results_folder = self.path / "results"
        self.looks = self.path / "looks"
        self.results = self.path / "results.json"
        self.tensorboard = self.path / "tensorboard"
        self.checkpoint_folder = self.path / "checkpoints"
        self.best = self.checkpoint_folder / "best.safetensors"
        self._lock = self.path / "run.lock"

    @classmethod
    def around(cls, checkpoint: Path) -> "RunFolder":
        """The run that a checkpoint is of; where it lies in none, the folder it lies in."""
        run = cls(checkpoint.parent.parent)
        return run if run.checkpoint_folder == checkpoint.parent else cls(checkpoint.parent)

    def architecture_after(self, epoch: int) -> Path:
        """What a search would have derived after an epoch, counted from 1."""
        return self.path / "architectures" / f"epoch_{epoch:04d}.json"

    def checkpoints(self, keep: int = 2) -> Checkpoints:
        """The checkpoints, of which the newest ``keep`` are kept."""
        return Checkpoints(self.checkpoint_folder, keep)

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint that is undamaged, or None when there is no file at all."""
        return self.checkpoints().newest()

    def planned_steps(self) -> int | None:
        """How many steps the run takes until it is finished; None where nothing says so."""
        with contextlib.suppress(BadInput, FileNotFoundError):
            return self.describe().steps or None
        return None

    def threads(self) -> int:
        """How many threads share an operation; 0 where it has not begun or nothing says so."""
        with contextlib.suppress(BadInput, FileNotFoundError):
            return self.describe().threads if self.has_begun() else 0
        return 0

    def newest_digest(self) -> str | None:
        """What the newest checkpoint says that its digest is; its tensors are not read."""
        from safetensors import SafetensorError, safe_open

        with (
            contextlib.suppress(SafetensorError, IndexError),
            safe_open(self.checkpoints().paths()[-1], framework="numpy") as file,
        ):
            return (file.metadata() or {}).get(DIGEST)
        return None

    def has_begun(self) -> bool:
        """Whether the run, or that of one of its candidates, has written a checkpoint."""
        candidates = map(RunFolder, self.candidates.glob("*"))
        return bool(self.checkpoints().paths()) or any(run.has_begun() for run in candidates)

    @contextlib.contextmanager
    def opened(
        self,
        description: Description,
        options: Collection[Option],
        others: Mapping[str, Any] | None = None,
        writes: bool = True,
        growing: Collection[str] = (),
    ) -> Iterator[None]:
        """Makes the folder for a run, or resumes the run it holds; keeps other processes out of it.

        A run that is refused within, before it leaves anything, leaves no folder either.

        Args:
          description: of the run; once there is a checkpoint it must be as before.
          options: whose values ``description.settings`` holds.
          others: see :func:`changed`.
          writes: whether this process is the one that writes; the others only read.
          growing: options with whose larger value the run goes on as if it had begun with it.

        Raises:
          BadInput: it holds something else, another run, or a run that another process is at.
        """
        folder = self.path
        if folder.exists() and not folder.is_dir():
            raise BadInput(f"run_dir={folder} is a file; give a folder.")
        if not writes:
            yield
            return
        known, new = self.description.is_file(), not folder.exists()
        if not known and set(folder.glob("*")) - {self._lock, *remains(folder)}:
            raise BadInput(f"run_dir={folder} holds files of something else; give another folder.")
        folder.mkdir(parents=True, exist_ok=True)
        with locked(self._lock, f"run_dir={folder}"):
            for path in remains(folder):
                path.unlink()
            if known:
                before = self.describe()
                if self.has_begun():
                    self._compare(before, description, options, others or {}, growing)
            write_json(self.description, asdict(description))
            try:
                yield
            except BadInput:
                if new:
                    self._remove_if_not_begun()
                raise

    def wait_until_unused(self) -> None:
        """Waits for a process that works in it, or in a run within it: one whose starter is lost
        saves what it did before it ends."""
        for lock in self.path.rglob(self._lock.name):
            with locked(lock, os.fspath(lock.parent), wait=True):
                pass

    def _remove_if_not_begun(self) -> None:
        """Removes a folder that holds no more than what a run writes before its first step."""
        found = set(self.path.iterdir())
        if found <= {self.description, self.split, self._lock}:
            for path in found:
                path.unlink()
            with contextlib.suppress(OSError):  # another process has just begun there
                self.path.rmdir()

    def describe(self) -> Description:
        """What the run is; BadInput where the file that says it is damaged."""
        form = {"command": str, "data": str, "settings": dict, "devices": int}
        form |= {"steps?": int, "threads?": int}
        advice = "Give another `run_dir`, or put the file back."
        found = read_json(self.description, form, "a description of a run", advice)
        known = {field.name for field in fields(Description)}
        return Description(**{name: value for name, value in found.items() if name in known})

    def _compare(
        self,
        before: Description,
        now: Description,
        options: Collection[Option],
        others: Mapping[str, Any],
        growing: Collection[str],
    ) -> None:
        folder = self.path
        if before.command != now.command:
            raise BadInput(
                f"run_dir={folder} holds a run of {before.command}, not of {now.command}; give "
                "another folder."
            )
        then, new = before.settings, now.settings
        grown = {name: new[name] for name in growing if new[name] > then.get(name, new[name])}
        if differing := changed({**then, **grown}, new, options, others):
            raise BadInput(
                f"run_dir={folder} holds a run with other settings ({', '.join(differing)}). Give "
                "the same ones to resume it, or another folder to start anew."
            )
        if before.devices != now.devices and now.settings["batch_norm"] == "per_replica":
            raise BadInput(
                f"run_dir={folder} holds a run on {before.devices} devices, and here are "
                f"{now.devices}; with batch_norm=per_replica that is another computation. Use as "
                "many as before, or another folder."
            )
        if before.data != now.data:
            raise BadInput(
                f"run_dir={folder} holds a run on other images than `data_dir` lists now. Give the "
                "folder it began with, as it was, or another `run_dir`."
            )
        for name, value in grown.items():
            logger.info("%s goes on from %s=%s to %s.", folder, name, then[name], value)


def changed(
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    options: Collection[Option],
    others: Mapping[str, Any] | None = None,
) -> list[str]:
    """What differs between the options of a run that was begun and of one that is asked for.

    Args:
      before: recorded by this version or an earlier one. An option that did not exist then had the
        default that it was introduced with.
      now: as recorded now.
      options: what there is to know of those in ``now``.
      others: what ``before`` may hold besides, or not hold yet: by name the value that made no
        difference.

    Returns:
      Of each difference a few words, such as ``"epochs=60 then, 120 now"``.
    """
    known, others = {option.name: option for option in options}, others or {}
    found = []
    for name, value in now.items():
        if option := known.get(name):
            names = [n for n in (name, *option.old_names) if n in before]
            old = option.recorded(before[names[0]] if names else option.default)
        else:
            old = before.get(name, others.get(name))
        if old != value:
            found.append(f"{name}={old!r} then, {value!r} now")
    old_names = {n for option in options for n in option.old_names}
    for name, old in before.items():
        if name in now or name in old_names:
            continue
        if name not in others:
            found.append(f"{name}={old!r} then, not known now")
        elif others[name] not in (old, ANYTHING):
            found.append(f"{name}={old!r} then, {others[name]!r} now")
    return found


ANYTHING = object()  # in ``others``: whatever it was, it made no difference


def content_of(path: str) -> str:
    """What is recorded of a file that a run takes: its content's SHA-256, not its path.

    A folder of a run stands for its newest checkpoint; what is no file, such as a word, stays.
    """
    file = Path(path)
    if path and file.is_dir():
        file = next(reversed(RunFolder(file).checkpoints().paths()), file)
    if not path or not file.is_file():
        return path
    return f"sha256:{sha256(file)}"
