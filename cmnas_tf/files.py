"""Whole files or none: everything is written under a temporary name, then renamed."""

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cmnas_tf.errors import BadInput


def new_path(path: str | os.PathLike[str], name: str) -> Path:
    """The path of something that is to be written and that is not there yet.

    Args:
      path: of a file or folder.
      name: of the parameter that gives it.

    Raises:
      BadInput: it is empty, or something lies there.
    """
    found = Path(path)
    if not os.fspath(path) or found.exists():
        raise BadInput(
            f"{name}={os.fspath(path)!r} is empty or exists; give the path of a new file or folder."
        )
    return found


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path beside ``path``; on success it takes the place of ``path``.

    The block may create a file or a folder there. When the block raises, the temporary path is
    removed and whatever stood at ``path`` is left as it was. A folder is never replaced: renaming
    onto a folder that holds something raises ``OSError``.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        yield aside
        if aside.is_file():
            with aside.open("rb+") as written:
                os.fsync(written.fileno())
        aside.replace(path)
    finally:
        if aside.is_dir():
            shutil.rmtree(aside)
        else:
            aside.unlink(missing_ok=True)


def remains(folder: Path) -> list[Path]:
    """Files that :func:`replacing` left in ``folder`` and below, in processes that were killed.

    Also what a living process is about to rename: of its folders the caller must be sure.
    """
    return sorted(path for path in folder.rglob(f".*.{8 * '[0-9a-f]'}.tmp") if path.is_file())


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes ``text`` (UTF-8) to ``path``, whole or not at all."""
    with replacing(path) as aside:
        aside.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes ``value`` as indented JSON to ``path``, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")
