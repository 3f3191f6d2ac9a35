"""The folder of a run: whose it is, and whether it may be gone on with."""

import json
from pathlib import Path
from typing import Any

from cmnas_tf import settings as settings_module
from cmnas_tf.errors import BadInput
from cmnas_tf.files import write_json
from cmnas_tf.training.checkpoints import Checkpoints

_FILE = "run.json"


def open_run(command: str, settings: Any, fingerprint: str) -> Path:
    """Makes ``--run_dir`` for a run, or takes up the run it already holds.

    Args:
      command: ``"search"`` or ``"train"``.
      settings: the command's settings; once there is a checkpoint, those that shape the result
        must be the same as before.
      fingerprint: of the data set, which must be the same as before too.

    Returns:
      The folder.

    Raises:
      BadInput: no folder given, or it holds something else or a run with other settings.
    """
    if not settings.run.run_dir:
        raise BadInput("--run_dir is empty; give the folder in which this run is to be kept.")
    folder = Path(settings.run.run_dir)
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"--run_dir={folder} is a file; give a folder.")
    description = {
        "command": command,
        "data": fingerprint,
        "settings": settings_module.shaping_result(settings),
    }
    if (folder / _FILE).is_file():
        before = _read(folder / _FILE)
        if has_begun(folder):
            _compare(folder, before, description)
        write_json(folder / _FILE, description)
    elif folder.is_dir() and any(folder.iterdir()):
        raise BadInput(f"--run_dir={folder} holds files of something else; give another folder.")
    else:
        write_json(folder / _FILE, description)
    return folder


def has_begun(folder: Path) -> bool:
    """Whether the run has written a checkpoint."""
    return bool(Checkpoints(folder / "checkpoints").paths())


def _read(file: Path) -> dict[str, Any]:
    try:
        description = json.loads(file.read_text(encoding="utf-8"))
        named = {key: str(description[key]) for key in ("command", "data")}
        return {**named, "settings": dict(description["settings"])}
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
    if before["data"] != now["data"]:
        raise BadInput(
            f"--run_dir={folder} holds a run on other images than --data_dir lists now. Give the "
            "folder it began with, as it was, or another --run_dir."
        )
