"""The model behind the paths of TensorFlow Serving's REST interface, version 1.

``GET /v1/models/NAME[/versions/N]`` (status), ``GET .../metadata``, ``POST ...:predict``.
"""

import contextlib
import json
import re
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message
from tensorflow_serving.apis.model_pb2 import ModelSpec

from cmnas_tf.serving.call_error import HTTP_STATUS, CallError, refused
from cmnas_tf.serving.development_server.json_tensors import ROWS, read_inputs, written_outputs
from cmnas_tf.serving.development_server.served_model import ServedModel

_PATH = re.compile(r"/v1/models/([^/:]+)(?:/versions/([0-9]{1,18}))?(/metadata|:predict)?")
IDLE_SECONDS = 60.0  # after which a connection that says nothing is closed
LINGER_SECONDS = 5.0  # for a client to read why its request is not taken


class RestServer(ThreadingHTTPServer):
    """Answers from a thread for each connection; port 0 takes any free one.

    Raises:
      OSError: the address is taken.
    """

    request_queue_size = 64

    def __init__(self, model: ServedModel, host: str, port: int):
        super().__init__((host, port), _Handler)
        self.model = model
        self._answering = 0
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self.serve_forever, name="rest", daemon=True)
        self._thread.start()

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """Around the work on a request, so that it is waited for."""
        with self._changed:
            self._answering += 1
        try:
            yield
        finally:
            with self._changed:
                self._answering -= 1
                self._changed.notify_all()

    def stop(self, grace_seconds: float) -> None:
        """Takes no more connections, and waits for the answers that are under way."""
        self.shutdown()
        self._thread.join()
        self.server_close()
        with self._changed:
            self._changed.wait_for(lambda: self._answering == 0, grace_seconds)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no fault; the default prints everything else."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: RestServer
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True  # headers and body are two small writes
    _body_read = True

    def do_GET(self) -> None:
        with self.server.answering():
            self._answer(self._get)

    def do_POST(self) -> None:
        with self.server.answering():
            self._answer(self._post)

    def handle_expect_100(self) -> bool:
        """Does not ask for the body of a request that is refused anyway."""
        try:
            self._body_size()
        except CallError:
            return True
        return super().handle_expect_100()

    def log_message(self, *_: Any) -> None:
        """A line for every request would hide the lines about versions."""

    def _answer(self, work: Callable[[], dict[str, Any]]) -> None:
        status = 200
        try:
            answer = work()
        except CallError as error:
            status, answer = HTTP_STATUS[error.code], {"error": str(error)}
        except OSError:  # the client's connection
            raise
        except Exception:  # told apart from a server that is away; gRPC does so by itself
            traceback.print_exc()
            status, answer = 500, {"error": "The server failed; what it printed says why."}
        data = json.dumps(answer, separators=(",", ":")).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if not self._body_read:  # it would be taken for the next request
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)
        if not self._body_read:
            self._linger()

    def _get(self) -> dict[str, Any]:
        asked, verb = self._target()
        if verb == ":predict":
            raise refused("Predictions are asked for by POST, not by GET.")
        if verb == "/metadata":
            spec, signatures = self.server.model.signatures(asked)
            return {"model_spec": _json(spec), "metadata": {"signature_def": _json(signatures)}}
        return _json(self.server.model.status(asked))

    def _post(self) -> dict[str, Any]:
        body = self._body()
        asked, verb = self._target()
        if verb != ":predict":
            raise refused(f"{self.path} is asked for by GET, not by POST.")
        try:
            request = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise refused(f"The request is no JSON: {error}.") from error
        if not isinstance(request, dict):
            raise refused("The request must be a JSON object.")
        signature = str(request.get("signature_name", ""))
        with self.server.model.using(asked) as version:
            inputs = read_inputs(request, version.signature(signature))
            outputs = version.predict(signature, inputs)
        return written_outputs(outputs, by_rows=ROWS in request)

    def _target(self) -> tuple[ModelSpec, str | None]:
        found = _PATH.fullmatch(self.path)
        if found is None:
            raise CallError(
                "NOT_FOUND",
                f"There is nothing at {self.path[:200]!r}. There is /v1/models/"
                f"{self.server.model.name}, with /metadata or :predict behind it.",
            )
        name, number, verb = found.groups()
        version = {"value": int(number)} if number else None
        return ModelSpec(name=name, version=version), verb

    def _body_size(self) -> int:
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch("[0-9]{1,18}", length):
            raise refused("A request must say its size in Content-Length.")
        self.server.model.require_size(int(length))
        return int(length)

    def _body(self) -> bytes:
        self._body_read = False
        body = self.rfile.read(self._body_size())
        self._body_read = True
        return body

    def _linger(self) -> None:
        """Lets the client finish sending: closed under its hands, it would not see the answer."""
        self.close_connection = True
        self.connection.settimeout(LINGER_SECONDS)
        end = time.monotonic() + LINGER_SECONDS
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            while time.monotonic() < end and self.connection.recv(1 << 20):
                pass


def _json(message: Message) -> dict[str, Any]:
    try:
        return json_format.MessageToDict(
            message, always_print_fields_with_no_presence=True, preserving_proto_field_name=True
        )
    except TypeError:  # protobuf 4 knows it by another name
        return json_format.MessageToDict(
            message, including_default_value_fields=True, preserving_proto_field_name=True
        )
