"""The folder of a run: whose it is, and whether it may be gone on with."""

import contextlib
import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from cmnas_tf import settings as settings_module
from cmnas_tf.devices.workers import is_chief
from cmnas_tf.errors import BadInput
from cmnas_tf.files import remains, write_json
from cmnas_tf.runs.checkpoints import Checkpoints

_FILE = "run.json"
_LOCK = "run.lock"


@contextlib.contextmanager
def open_run(
    command: str, settings: Any, fingerprint: str, strategy: tf.distribute.Strategy
) -> Iterator[Path]:
    """Makes ``--run_dir`` for a run, or takes up the run it already holds; keeps others out of it.

    Of several workers only the chief looks at the folder and writes there.

    Args:
      command: ``"search"`` or ``"train"``.
      settings: the command's settings; once there is a checkpoint, those that shape the result
        must be the same as before.
      fingerprint: of the data set, which must be the same as before too.
      strategy: what the run is computed with; on as many devices as before, where each of them
        normalises for itself.

    Yields:
      The folder.

    Raises:
      BadInput: no folder given, or it holds something else, a run with other settings, or a run
        that another process is at.
    """
    folder = Path(settings.run.run_dir)
    if not settings.run.run_dir:
        raise BadInput("--run_dir is empty; give the folder in which this run is to be kept.")
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"--run_dir={folder} is a file; give a folder.")
    if not is_chief(strategy):
        yield folder
        return
    known = (folder / _FILE).is_file()
    if not known and set(folder.glob("*")) - {folder / _LOCK, *remains(folder)}:
        raise BadInput(f"--run_dir={folder} holds files of something else; give another folder.")
    description = {
        "command": command,
        "data": fingerprint,
        "settings": settings_module.shaping_result(settings),
        "devices": strategy.num_replicas_in_sync,
    }
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        for path in remains(folder):
            path.unlink()
        if known:
            before = _read(folder / _FILE)
            if has_begun(folder):
                _compare(folder, before, description)
        write_json(folder / _FILE, description)
        yield folder


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds the folder's lock, which the kernel takes back from a process that ends in any way."""
    import portalocker

    with (folder / _LOCK).open("a+") as file:
        try:
            portalocker.lock(file, portalocker.LOCK_EX | portalocker.LOCK_NB)
        except portalocker.AlreadyLocked as error:
            file.seek(0)
            raise BadInput(
                f"--run_dir={folder} is in use by {file.read() or 'another process'}. Wait for it, "
                "end it, or give another folder."
            ) from error
        except portalocker.LockException as error:
            print(
                f"note: {folder} lies where no file can be locked ({error}); make sure that no "
                "other process uses it.",
                file=sys.stderr,
            )
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def has_begun(folder: Path) -> bool:
    """Whether the run has written a checkpoint."""
    return bool(Checkpoints(folder / "checkpoints").paths())


def _read(file: Path) -> dict[str, Any]:
    try:
        description = json.loads(file.read_text(encoding="utf-8"))
        named = {key: str(description[key]) for key in ("command", "data")}
        settings, devices = dict(description["settings"]), int(description["devices"])
        return {**named, "settings": settings, "devices": devices}
    except (ValueError, TypeError, KeyError) as error:
        raise BadInput(
            f"{file} does not describe a run ({error}); it is damaged or not this program's. Give "
            "another --run_dir, or put the file back."
        ) from error


def _compare(folder: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    if before["command"] != now["command"]:
        raise BadInput(
            f"--run_dir={folder} holds a run of {before['command']}, not of {now['command']}; "
            "give another folder."
        )
    old, new = before["settings"], now["settings"]
    changed = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    if changed:
        values = ", ".join(f"--{n}: {old.get(n)!r} then, {new.get(n)!r} now" for n in changed)
        raise BadInput(
            f"--run_dir={folder} holds a run with other settings ({values}). Give the same ones to "
            "go on with it, or another folder to start anew."
        )
    if before["devices"] != now["devices"] and new["batch_norm"] == "per_replica":
        raise BadInput(
            f"--run_dir={folder} holds a run on {before['devices']} devices, and here are "
            f"{now['devices']}; with --batch_norm=per_replica that is another computation. Use as "
            "many as before, or another folder."
        )
    if before["data"] != now["data"]:
        raise BadInput(
            f"--run_dir={folder} holds a run on other images than --data_dir lists now. Give the "
            "folder it began with, as it was, or another --run_dir."
        )
