"""The model behind the paths of TensorFlow Serving's REST interface, version 1.

``GET /v1/models/NAME[/versions/N|/labels/LABEL]`` (status), ``GET .../metadata``, ``POST
...:predict``. HTTP is uvicorn's; what is here is what the paths mean.
"""

import asyncio
import contextlib
import gc
import json
import math
import re
import socket
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import google.protobuf
import uvicorn
from google.protobuf import json_format
from google.protobuf.message import Message
from tensorflow_serving.apis.model_pb2 import ModelSpec

from cmnas_tf.serving.call_error import HTTP_STATUS, CallError, refused
from cmnas_tf.serving.development_server.json_tensors import ROWS, read_inputs, written_outputs
from cmnas_tf.serving.development_server.served_model import ServedModel

_PATH = re.compile(
    r"/v1/models/([^/:]+)(?:/versions/([0-9]{1,18})|/labels/([^/:]+))?"
    r"(/metadata|:predict|:classify|:regress)?"
)
_DEFAULTS_TOO = "always_print_fields_with_no_presence"
if google.protobuf.__version__.startswith("4."):
    _DEFAULTS_TOO = "including_default_value_fields"
_CHUNKED = b"transfer-encoding"
# All our choice. Lists, objects and quotation marks of a body, of which each becomes up to 30 times
# as long in memory; the pixels of the most images that fit into a body are four million lists.
MOST_NESTED = 5_000_000
MOST_VALUES = 3 * MOST_NESTED
_MOST = {
    "lists, objects and quotation marks": ((b"[", b"{", b'"'), MOST_NESTED),
    "values": ((b",",), MOST_VALUES),
}
# Bodies that are held at a time, and answers that are computed:
AT_A_TIME = 8
CONNECTIONS = 512  # further ones are answered by 503
IDLE_SECONDS = 60.0  # for which a connection may say nothing, between requests or within one
LINGER_SECONDS = 5.0  # for a client to read why its request is not taken


class RestServer:
    """Answers from threads; port 0 takes any free one.

    Attributes:
      port: where it listens.

    Raises:
      OSError: the address is taken.
    """

    def __init__(self, model: ServedModel, host: str, port: int):
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, port), family=family)
        # Headers and body are two small writes; what is accepted here inherits it.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port: int = listening.getsockname()[1]
        config = uvicorn.Config(
            _Paths(model),
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            limit_concurrency=CONNECTIONS,
            timeout_keep_alive=int(IDLE_SECONDS),
        )
        self._server = uvicorn.Server(config)
        given = {"sockets": [listening]}
        self._thread = threading.Thread(
            target=self._server.run, kwargs=given, name="rest", daemon=True
        )
        self._thread.start()

    def stop(self, grace_seconds: float) -> None:
        """Takes no more connections, and waits for the answers that are under way."""
        self._server.config.timeout_graceful_shutdown = math.ceil(grace_seconds)
        self._server.should_exit = True
        self._thread.join()


class _Paths:
    """An ASGI application: reads a body that may be read, and answers in a thread."""

    def __init__(self, model: ServedModel):
        self._model = model
        self._threads = ThreadPoolExecutor(AT_A_TIME, "answer")
        self._bodies = asyncio.Semaphore(AT_A_TIME)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        asked_with, method = dict(scope["headers"]), scope["method"]
        unread = method == "POST" or _CHUNKED in asked_with
        try:
            size = self._size(asked_with) if unread else 0
            async with self._bodies if unread else contextlib.nullcontext():
                body = await _read(receive, size)
                unread = False
                path = scope["raw_path"].decode("latin-1")
                loop, work = asyncio.get_running_loop(), partial(self._answer, method, path, body)
                status, answer = 200, await loop.run_in_executor(self._threads, work)
        except CallError as error:
            status, answer = HTTP_STATUS[error.code], _written({"error": str(error)})
        except Exception:  # told apart from a server that is away; gRPC does so by itself
            traceback.print_exc()
            said = "The server failed; what it printed says why."
            status, answer = 500, _written({"error": said})
        headers = [(b"content-type", b"application/json")]
        headers.append((b"content-length", str(len(answer)).encode()))
        if unread:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer, "more_body": unread})
        if unread:
            # Closed under the hands of a client that sends, it would not see the answer.
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(_pass_over(receive), LINGER_SECONDS)
            await send({"type": "http.response.body"})

    def _size(self, headers: dict[bytes, bytes]) -> int:
        length = headers.get(b"content-length", b"")
        # Beside chunks another server would believe the length, and see another next request.
        if _CHUNKED in headers or not re.fullmatch(b"[0-9]{1,18}", length):
            raise refused("A request must say its size in Content-Length.")
        self._model.require_size(int(length))
        return int(length)

    def _answer(self, method: str, path: str, body: bytes) -> bytes:
        found = _PATH.fullmatch(path)
        if found is None:
            raise CallError(
                "NOT_FOUND",
                f"There is nothing at {path[:200]!r}. There is /v1/models/{self._model.name}, with "
                "/metadata or :predict behind it.",
            )
        name, number, label, verb = found.groups()
        version = {"value": int(number)} if number else None
        asked = ModelSpec(name=name, version=version, version_label=label)
        right = "POST" if (verb or "").startswith(":") else "GET"
        if (method == "POST") != (right == "POST"):
            raise refused(f"{path[:200]} is asked for by {right}, not by {method}.")
        if verb == ":predict":
            return _written(self._predict(asked, body))
        if verb == "/metadata":
            spec, signatures = self._model.signatures(asked)
            metadata = {"signature_def": _json(signatures)}
            return _written({"model_spec": _json(spec), "metadata": metadata})
        if verb is None:
            return _written(_json(self._model.status(asked)))
        raise refused(f"The model has no signature for {verb}; ask for :predict.")

    def _predict(self, asked: ModelSpec, body: bytes) -> dict[str, Any]:
        for what, (marks, most) in _MOST.items():
            if sum(map(body.count, marks)) > most:
                raise refused(
                    f"The request has more than {most:,} {what}. Send images as files, in base64, "
                    "or fewer at a time."
                )
        try:
            with _no_cycles():
                request = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise refused(f"The request is no JSON: {error}.") from error
        if not isinstance(request, dict):
            raise refused("The request must be a JSON object.")
        signature = str(request.get("signature_name", ""))
        with self._model.using(asked) as version:
            inputs = read_inputs(request, version.signature(signature))
            outputs = version.predict(signature, inputs)
        return written_outputs(outputs, by_rows=ROWS in request)


async def _read(receive: Any, size: int) -> bytes:
    """A body of ``size`` bytes."""
    body = bytearray()
    while len(body) < size:
        try:
            message = await asyncio.wait_for(receive(), IDLE_SECONDS)
        except asyncio.TimeoutError as error:
            raise refused(f"Of {size:,} bytes no more than {len(body):,} came.") from error
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    return bytes(body)


@contextlib.contextmanager
def _no_cycles() -> Iterator[None]:
    """Makes millions of objects, of which none is part of a cycle, without looks for cycles, which
    take several times as long as all else. Of several threads the first to end ends it for all.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def _pass_over(receive: Any) -> None:
    while (await receive()).get("more_body"):
        pass


def _written(answer: dict[str, Any]) -> bytes:
    return json.dumps(answer, separators=(",", ":")).encode()


def _json(message: Message) -> dict[str, Any]:
    how: Any = {_DEFAULTS_TOO: True}
    return json_format.MessageToDict(message, preserving_proto_field_name=True, **how)
