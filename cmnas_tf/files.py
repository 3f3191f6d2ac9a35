"""Whole files or none: everything is written under a temporary name, then renamed.

What is read, changed and written again is locked meanwhile.
"""

import contextlib
import fcntl
import glob
import hashlib
import json
import logging
import os
import re
import shutil
import socket
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cmnas_tf.errors import BadInput

logger = logging.getLogger(__name__)

_ASIDE = f".{8 * '[0-9a-f]'}.tmp"  # how temporary names end
_IN_GRAPH = r"\{\{.*?\}\} | ?\[Op:.*"  # where in its graph TensorFlow met an error


def cache_folder() -> Path:
    """Where what can be had again is kept: ``cmnas_tf`` of ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cmnas_tf"


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
    removed and whatever stood at ``path`` is left as it was. What a process that was killed had
    begun to write for ``path`` is removed first.

    Raises:
      BadInput: the block made a folder, and another process has written one there meanwhile.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    with _writing_in(path.parent, f".{glob.escape(path.name)}{_ASIDE}"):
        try:
            yield aside
            if aside.is_file():
                with aside.open("rb+") as written:
                    os.fsync(written.fileno())
            if aside.is_dir() and any(path.glob("*")):
                raise BadInput(
                    f"Another process has written {path} meanwhile, and a folder is never "
                    "replaced; nothing was written. Rerun, or give another path."
                )
            aside.replace(path)
        except OSError as error:
            if error.errno and error.filename in (None, os.fspath(aside)):
                error.filename = os.fspath(path)  # a full disk names no file that is open
            raise
        finally:
            _remove(aside)


@contextlib.contextmanager
def _writing_in(folder: Path, remains: str) -> Iterator[None]:
    """Locks a folder beside others; if there are none, removes its files of a pattern before."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # nothing can be locked there, or not now
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for path in folder.glob(remains):
                logger.info("%s is removed, which a process left that was killed.", path)
                _remove(path)
        with contextlib.suppress(OSError):
            fcntl.flock(opened, fcntl.LOCK_SH)
        yield
    finally:
        os.close(opened)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remains(folder: Path) -> list[Path]:
    """Files that :func:`replacing` left in ``folder`` and below, in processes that were killed.

    Also what a living process is about to rename: of its folders the caller must be sure.
    """
    return sorted(path for path in folder.rglob(f".*{_ASIDE}") if path.is_file())


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes ``text`` (UTF-8) to ``path``, whole or not at all."""
    with replacing(path) as aside:
        aside.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes ``value`` as indented JSON to ``path``, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_arrays(path: str | os.PathLike[str], arrays: Mapping[str, Any]) -> None:
    """Writes arrays by name as NumPy's ``savez`` does, which closes none where a disk is full."""
    import numpy as np

    with replacing(path) as aside, zipfile.ZipFile(aside, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)


@contextlib.contextmanager
def writing_by(library_error: type[Exception], path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns a library's own error, of a file that it cannot write, into an ``OSError``.

    Args:
      library_error: what it raises when the disk is full, or writing is not permitted.
      path: what is written, for people to read.
    """
    try:
        yield
    except library_error as error:
        said = re.sub(_IN_GRAPH, "", str(error).splitlines()[0])
        raise OSError(f"Cannot write {os.fspath(path)}: {said}") from error


@contextlib.contextmanager
def locked(lock: Path, name: str, wait: bool = False) -> Iterator[None]:
    """Keeps other processes out; the kernel takes the lock back from a process that ends.

    Where no file can be locked, that is logged and the block runs all the same.

    Args:
      lock: the file of the lock, which stays; while it is held it says by whom.
      name: of what is locked, for people to read.
      wait: whether to wait for whoever holds it, rather than to refuse.

    Raises:
      BadInput: another process holds it.
    """
    import portalocker

    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a+") as file:
        try:
            portalocker.lock(file, portalocker.LOCK_EX | portalocker.LOCK_NB)
        except portalocker.AlreadyLocked as error:
            file.seek(0)
            user = file.read() or "another process"
            if not wait:
                raise BadInput(
                    f"{name} is in use by {user}. Wait for it, end it, or give another folder."
                ) from error
            logger.info("%s is in use by %s, which is waited for.", name, user)
            portalocker.lock(file, portalocker.LOCK_EX)
        except portalocker.LockException as error:
            logger.info(
                "%s lies where no file can be locked (%s); make sure that no other process uses "
                "it.",
                name,
                error,
            )
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def sha256(file: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with Path(file).open("rb") as opened:
        while block := opened.read(2**20):
            digest.update(block)
    return digest.hexdigest()
