"""The model of a server: always the newest whole version answers, and never none."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from cmnas_tf.serving.call_error import CallError
from cmnas_tf.serving.development_server.loaded_version import LoadedVersion
from cmnas_tf.serving.exported_model import versions_in


class ServedModel:
    """The versions in a folder, of which the newest is in memory.

    A version is a folder whose name is a number; it is whole when ``saved_model.pb`` is in it,
    because exports are renamed into place. The next version is loaded beside the present one, and
    takes its place when it is ready. Requests that are under way end on the version they began on,
    which is unloaded after the last of them.

    Args:
      base: the folder.
      name: of the model.
      max_bytes: of a request.
    """

    def __init__(self, base: Path, name: str, max_bytes: int):
        self.name = name
        self.max_bytes = max_bytes
        self._base = base
        self._lock = threading.Lock()
        self._present: LoadedVersion | None = None
        self._users: dict[LoadedVersion, int] = {}
        self._states: dict[int, tuple[str, str]] = {}

    @property
    def states(self) -> dict[int, tuple[str, str]]:
        """By version, newest first: its state (a name of ``ModelVersionStatus.State``), and why it
        cannot be loaded, or ""."""
        with self._lock:
            return dict(sorted(self._states.items(), reverse=True))

    def states_of(self, name: str, number: int | None) -> dict[int, tuple[str, str]]:
        """``states`` of the model called ``name``: all, or that of a version."""
        self._require_name(name)
        states = self.states
        if number is None:
            return states
        if number not in states:
            raise CallError("NOT_FOUND", f"Model {name!r} has no version {number}.")
        return {number: states[number]}

    def require_size(self, size: int) -> None:
        """Refuses a request of more than ``max_bytes``."""
        if size > self.max_bytes:
            raise CallError(
                "INVALID_ARGUMENT",
                f"The request has {size:,} bytes, and at most {self.max_bytes:,} are taken. Send "
                "fewer images at a time, or smaller ones.",
            )

    def refresh(self) -> LoadedVersion | None:
        """Loads the newest version if that is another than the present one.

        A version that cannot be loaded is not tried again, and the one before it stays.

        Returns:
          The version that was put in place, or None.
        """
        folders = {
            number: folder
            for number, folder in versions_in(self._base).items()
            if (folder / "saved_model.pb").is_file()
        }
        broken = {number for number, (_, message) in self.states.items() if message}
        newest = max(folders.keys() - broken, default=None)
        if newest is None or (self._present and self._present.number == newest):
            return None
        self._tell(newest, "LOADING")
        try:
            loaded = LoadedVersion(folders[newest])
        # Of a file that is not what it should be TensorFlow, protobuf and the system each raise
        # something else, and none of it is a reason to stop serving what is there.
        except Exception as error:
            self._tell(newest, "END", f"{folders[newest]} cannot be loaded: {error}")
            return None
        self._replace(loaded)
        return loaded

    @contextlib.contextmanager
    def using(self, name: str, number: int | None = None) -> Iterator[LoadedVersion]:
        """The present version, which stays in memory as long as the block runs.

        Args:
          name: of the model.
          number: of the version that is wanted; None: whichever is present.

        Raises:
          CallError: NOT_FOUND where another model or version is present than the one that is
            wanted, UNAVAILABLE where none is.
        """
        self._require_name(name)
        with self._lock:
            version = self._present
            if version is None:
                raise CallError("UNAVAILABLE", f"No version in {self._base} is loaded.")
            if number not in (None, version.number):
                raise CallError(
                    "NOT_FOUND",
                    f"Version {number} is not served; version {version.number} is.",
                )
            self._users[version] += 1
        try:
            yield version
        finally:
            self._release(version)

    def close(self) -> None:
        """Unloads the present version, after the requests that are under way."""
        self._replace(None)

    def _require_name(self, name: str) -> None:
        if name != self.name:
            raise CallError(
                "NOT_FOUND", f"There is no model {name!r} here; {self.name!r} is served."
            )

    def _replace(self, version: LoadedVersion | None) -> None:
        with self._lock:
            before, self._present = self._present, version
            if version:
                self._users[version] = 1  # it is in use by being the present one
                self._states[version.number] = ("AVAILABLE", "")
            if before:
                self._states[before.number] = ("UNLOADING", "")
        if before:
            self._release(before)

    def _release(self, version: LoadedVersion) -> None:
        with self._lock:
            self._users[version] -= 1
            if self._users[version]:
                return
            del self._users[version]
        version.close()
        self._tell(version.number, "END")

    def _tell(self, number: int, state: str, message: str = "") -> None:
        with self._lock:
            self._states[number] = (state, message)
