"""Checkpoints: one file holds everything that resuming a run, or using a network, needs.

A checkpoint is a ``.safetensors`` file: tensors by name (``network/backbone.conv1.kernel``,
``average/...``, ``weight_optimizer/...``), and JSON in its header. It is written aside and renamed.
"""

import contextlib
import hashlib
import json
import logging
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cmnas_tf.errors import BadInput, TrainingDiverged
from cmnas_tf.files import replacing
from cmnas_tf.reading import parse_json, read_safetensors

if TYPE_CHECKING:
    import tensorflow as tf

logger = logging.getLogger(__name__)

DIGEST = "sha256"  # its key in a file's metadata
BEST = "best"  # the key, in a checkpoint's metadata, of what it was chosen by
RunState = Mapping[str, Mapping[str, "tf.Variable"]]

_NAME = re.compile(r"^step-(\d{8})\.safetensors$")
_HEADER = "cmnas_tf"


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds."""

    path: Path  # where it was read from
    step: int  # steps that had been done
    digest: str  # SHA-256 of the metadata and of the tensors' names, shapes and values
    tensors: Mapping[str, np.ndarray]  # ``{"part/name": array}``
    # What was stored with it: the network's specification, settings, versions.
    metadata: Mapping[str, Any]

    def restore(self, state: RunState) -> None:
        """Assigns the tensors to the variables of ``state``.

        Raises:
          BadInput: a variable is not in the file or has another shape; nothing is assigned then.
        """
        wanted = {f"{part}/{name}": v for part, group in state.items() for name, v in group.items()}
        problems = [f"{name} is missing" for name in wanted if name not in self.tensors]
        problems += [
            f"{name} has shape {self.tensors[name].shape}, not {tuple(variable.shape)}"
            for name, variable in wanted.items()
            if name in self.tensors and self.tensors[name].shape != tuple(variable.shape)
        ]
        if problems:
            raise BadInput(
                f"The checkpoint {self.path} does not match the network: {'; '.join(problems[:4])}"
                f"{f'; and {len(problems) - 4} more' if len(problems) > 4 else ''}. "
                "Use the checkpoint of this very network, or another `run_dir`."
            )
        for name, variable in wanted.items():
            variable.assign(self.tensors[name])


class Checkpoints:
    """The checkpoints of one run, newest last."""

    def __init__(self, folder: Path, keep: int = 2):
        self.folder = Path(folder)
        self.keep = keep
        self._writer = ThreadPoolExecutor(max_workers=1)
        self._writing: Future[None] | None = None

    def paths(self) -> list[Path]:
        """The files, oldest first."""
        found = self.folder.iterdir() if self.folder.is_dir() else ()
        return sorted(path for path in found if _NAME.match(path.name) and path.is_file())

    def save(self, step: int, state: RunState, metadata: Mapping[str, Any]) -> None:
        """Copies the state after ``step`` steps; in the background writes it as a checkpoint, then
        removes the oldest beyond ``keep``.

        Raises:
          TrainingDiverged: a variable is not finite; nothing is written.
          OSError: the write before this one failed.
        """
        tensors = finite_values(step, state)
        self.wait()
        self._writing = self._writer.submit(self._write, step, tensors, metadata)

    @contextlib.contextmanager
    def finishing(self) -> Iterator[None]:
        """On the way out, however it is left, waits for what is being written."""
        try:
            yield
        finally:
            self.wait()

    def wait(self) -> None:
        """Returns when nothing is being written; raises what the last write raised."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def raise_failed(self) -> None:
        """Raises what the last write raised, if it has failed by now."""
        if self._writing is not None and self._writing.done():
            self.wait()

    def _write(
        self, step: int, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any]
    ) -> None:
        write(self.folder / f"step-{step:08d}.safetensors", step, tensors, metadata)
        self.prune()

    def prune(self) -> None:
        """Removes the oldest beyond ``keep``."""
        for old in self.paths()[: -self.keep]:
            old.unlink()

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint that is undamaged, or None when there is no file at all.

        A damaged one is passed over with a warning.

        Raises:
          BadInput: there are files and all of them are damaged.
        """
        for path in reversed(self.paths()):
            try:
                return read(path)
            except BadInput as error:
                logger.warning("%s", error)
        if self.paths():
            raise BadInput(
                f"No checkpoint in {self.folder} can be read. Put an undamaged one there, or give "
                "another `run_dir` to start anew."
            )
        return None


def state_digest(state: RunState) -> str:
    """SHA-256 of the names, shapes and values of a state."""
    return _digest("", _on_host(state))


def _on_host(state: RunState) -> dict[str, np.ndarray]:
    return {
        # A copy: on a CPU the array may be the variable's own memory, which goes on changing.
        f"{part}/{name}": np.array(variable.numpy())
        for part, group in state.items()
        for name, variable in group.items()
    }


def finite_values(step: int, state: RunState) -> dict[str, np.ndarray]:
    """The tensors of a state after ``step`` steps; TrainingDiverged: one is not finite."""
    tensors = _on_host(state)
    for name, tensor in tensors.items():
        if tensor.dtype.kind == "f" and not np.isfinite(tensor).all():
            raise TrainingDiverged(
                f"After step {step} the variable {name} is not finite, so no checkpoint was "
                "written. Lower the learning rate and start again from the last checkpoint."
            )
    return tensors


def write(
    path: Path, step: int, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any]
) -> None:
    """Writes a checkpoint file, whole or not at all; equal content is equal bytes."""
    from safetensors.numpy import save

    header = json.dumps({"step": step, "metadata": metadata}, sort_keys=True)
    with replacing(path) as aside:
        contiguous = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
        content = save(contiguous, {_HEADER: header, DIGEST: _digest(header, tensors)})
        start = 8 + int.from_bytes(content[:8], "little")  # of the tensors
        names = json.loads(content[8:start])  # metadata are in an order of chance
        in_order = json.dumps(names, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        # Through Python's own file, so that a full disk is an OSError as everywhere else.
        aside.write_bytes(
            content[:8] + in_order.encode().ljust(start - 8) + memoryview(content)[start:]
        )


def read(path: Path) -> Checkpoint:
    """Reads a checkpoint file and checks that it is undamaged.

    Raises:
      BadInput: no such file, not a checkpoint, or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"No checkpoint {path}. Give the path of an existing one, or train first.")
    try:
        written, tensors = read_safetensors(path)
        header, digest = written[_HEADER], written[DIGEST]
        content = parse_json(header, {"step": int, "metadata": dict})
    except (ValueError, KeyError) as error:
        raise BadInput(
            f"{path} is not a checkpoint of this program, or it is truncated ({error!s}). "
            "Use another one."
        ) from error
    if _digest(header, tensors) != digest:
        raise BadInput(f"The checkpoint {path} is damaged: its checksum differs. Use another one.")
    return Checkpoint(path, content["step"], digest, tensors, content["metadata"])


def _digest(header: str, tensors: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(header.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tensor.shape}".encode())
        digest.update(tensor.tobytes())
    return digest.hexdigest()
