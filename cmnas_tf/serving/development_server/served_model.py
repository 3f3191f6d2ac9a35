"""The model of a server: always the newest whole version answers, and never none."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from tensorflow_serving.apis.get_model_metadata_pb2 import SignatureDefMap
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusResponse
from tensorflow_serving.apis.model_pb2 import ModelSpec

from cmnas_tf.serving.call_error import CallError, refused
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

    def status(self, asked: ModelSpec) -> GetModelStatusResponse:
        """The state of the version that is asked for, or of all."""
        number, states = self._number(asked), self.states
        if number is not None and number not in states:
            raise CallError("NOT_FOUND", f"Model {self.name!r} has no version {number}.")
        answer = GetModelStatusResponse()
        for known, (state, message) in states.items():
            if number in (None, known):
                code = "UNKNOWN" if message else "OK"
                status = {"error_code": code, "error_message": message}
                answer.model_version_status.add(version=known, state=state, status=status)
        return answer

    def signatures(self, asked: ModelSpec) -> tuple[ModelSpec, SignatureDefMap]:
        """The version that is asked for, and what it can be asked."""
        with self.using(asked) as version:
            return self.spec_of(version), SignatureDefMap(signature_def=version.signatures)

    def spec_of(self, version: LoadedVersion, signature: str = "") -> ModelSpec:
        """What an answer says of where it comes from."""
        number = {"value": version.number}
        return ModelSpec(name=self.name, version=number, signature_name=signature)

    def require_size(self, size: int) -> None:
        """Refuses a request of more than ``max_bytes``."""
        if size > self.max_bytes:
            raise refused(
                f"The request has {size:,} bytes, and at most {self.max_bytes:,} are taken. Send "
                "fewer images at a time, or smaller ones."
            )

    def refresh(self) -> LoadedVersion | None:
        """Loads the newest version if that is another than the present one, and returns it.

        A version that cannot be loaded is not tried again, and the one before it stays.
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
    def using(self, asked: ModelSpec) -> Iterator[LoadedVersion]:
        """The present version, which stays in memory as long as the block runs.

        Raises:
          CallError: NOT_FOUND where another model or version is present than the one that is asked
            for, UNAVAILABLE where none is, INVALID_ARGUMENT without a name or with a label.
        """
        number = self._number(asked)
        with self._lock:
            version = self._present
            if version is None:
                raise CallError("UNAVAILABLE", f"No version in {self._base} is loaded.")
            if number not in (None, version.number):
                raise CallError(
                    "NOT_FOUND", f"Version {number} is not served; version {version.number} is."
                )
            self._users[version] += 1
        try:
            yield version
        finally:
            self._release(version)

    def close(self) -> None:
        """Unloads the present version, after the requests that are under way."""
        self._replace(None)

    def _number(self, asked: ModelSpec) -> int | None:
        """Of the version that is asked for; None: whichever is present."""
        if asked.version_label:
            raise refused(f"No version is labelled {asked.version_label!r}.")
        if not asked.name:
            raise refused("The request names no model.")
        if asked.name != self.name:
            raise CallError(
                "NOT_FOUND", f"There is no model {asked.name!r} here; {self.name!r} is served."
            )
        return asked.version.value if asked.HasField("version") else None

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
