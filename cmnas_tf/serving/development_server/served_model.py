"""The one model of a server: its name, its versions, and how much it takes at a time."""

from collections.abc import Iterator
from contextlib import contextmanager

from cmnas_tf.serving.call_error import CallError
from cmnas_tf.serving.development_server.loaded_version import LoadedVersion
from cmnas_tf.serving.development_server.model_versions import ModelVersions


class ServedModel:
    """What every way of asking shares.

    Args:
      name: of the model.
      versions: of the model.
      max_bytes: of a request.
    """

    def __init__(self, name: str, versions: ModelVersions, max_bytes: int):
        self.name = name
        self.versions = versions
        self.max_bytes = max_bytes

    def require_size(self, size: int) -> None:
        """Refuses a request of more than ``max_bytes``."""
        if size > self.max_bytes:
            raise CallError(
                "INVALID_ARGUMENT",
                f"The request has {size:,} bytes, and at most {self.max_bytes:,} are taken. Send "
                "fewer images at a time, or smaller ones.",
            )

    @contextmanager
    def version(self, name: str, number: int | None) -> Iterator[LoadedVersion]:
        """The version that answers; see ``ModelVersions.using``."""
        self.require_name(name)
        with self.versions.using(number) as version:
            yield version

    def states(self, name: str, number: int | None) -> dict[int, tuple[str, str]]:
        """``{version: (state, why it could not be loaded)}``, newest first.

        Args:
          name: of the model.
          number: of the version; None: of all.
        """
        self.require_name(name)
        states = dict(sorted(self.versions.states.items(), reverse=True))
        if number is None:
            return states
        if number not in states:
            raise CallError("NOT_FOUND", f"Model {name!r} has no version {number}.")
        return {number: states[number]}

    def require_name(self, name: str) -> None:
        """Refuses the name of another model."""
        if name != self.name:
            raise CallError(
                "NOT_FOUND", f"There is no model {name!r} here; {self.name!r} is served."
            )
