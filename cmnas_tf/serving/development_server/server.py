"""The local server as a whole: starts, watches for versions, stops."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from cmnas_tf.errors import BadInput
from cmnas_tf.serving.development_server import grpc_service
from cmnas_tf.serving.development_server.local_serving import LocalServing
from cmnas_tf.serving.development_server.rest_service import RestServer
from cmnas_tf.serving.development_server.served_model import ServedModel


class LocalServer:
    """A server that runs.

    Attributes:
      grpc_port, rest_port: where it listens.
    """

    def __init__(self, serving: LocalServing, model: ServedModel):
        self._model = model
        self._grace = serving.grace_seconds
        with contextlib.ExitStack() as on_failure:
            try:
                self._rest = RestServer(model, serving.host, serving.rest_api_port)
                on_failure.callback(self._rest.stop, 0.0)
                address = f"{serving.host}:{serving.port}"
                self._grpc, self.grpc_port = grpc_service.start(model, address)
            except (OSError, OverflowError, RuntimeError) as error:
                raise BadInput(
                    f"host={serving.host} port={serving.port} rest_api_port="
                    f"{serving.rest_api_port} cannot be listened on: {error}. Stop what uses them, "
                    "or give others; 0 takes any free one."
                ) from error
            on_failure.pop_all()
        self.rest_port = self._rest.port

    def stop(self) -> None:
        """Takes no more requests, finishes those it has, and unloads the model."""
        grpc_done = self._grpc.stop(self._grace)
        self._rest.stop(self._grace)
        grpc_done.wait()
        self._model.close()

    def watch(self, stop: threading.Event, seconds: float) -> Iterator[str]:
        """Looks for a new version every few seconds until it is told to stop.

        Yields what happened, a line each.
        """
        seen: dict[int, tuple[str, str]] = {}
        while True:
            states = self._model.states
            for number, (state, message) in sorted(states.items() - seen.items()):
                yield f"version {number} {state.lower()}{': ' if message else ''}{message}"
            seen = states
            if stop.wait(seconds):
                return
            self._model.refresh()


@contextlib.contextmanager
def serve_locally(serving: LocalServing) -> Iterator[LocalServer]:
    """A server with its first version loaded, stopped when the block ends.

    Raises:
      BadInput: there is no model, or the ports are taken.
    """
    base, max_bytes = Path(serving.model_base_path), serving.max_request_megabytes * 10**6
    model = ServedModel(base, serving.model_name, max_bytes)
    if not serving.model_base_path or model.refresh() is None:
        faults = "".join(f" {message}." for _, message in model.states.values())
        raise BadInput(
            f"model_base_path={serving.model_base_path!r} has no version of a model that can be "
            f"served.{faults} Give the folder that holds the numbered ones, which "
            "`export_saved_model` writes."
        )
    server = LocalServer(serving, model)
    try:
        yield server
    finally:
        server.stop()
