"""Speaking REST to a model server: JSON over HTTP, in the columnar format."""

import base64
import contextlib
import json
import socket
import time
from typing import Any
from urllib.parse import quote

import numpy as np
import urllib3

from cmnas_tf.reading import MOST_BYTES
from cmnas_tf.serving.call_error import CallError, code_of, reading_answer
from cmnas_tf.serving.client.remote_model import Arrays

_HEADERS = {"Content-Type": "application/json"}


class _Socket(socket.socket):
    """A timeout bounds all that is received until another one is set, not each piece of it."""

    def settimeout(self, seconds: float | None) -> None:
        self._end = time.monotonic() + (seconds or 0.0)
        super().settimeout(seconds)

    def recv_into(self, *into: Any) -> int:
        super().settimeout(max(self._end - time.monotonic(), 0.001))
        return super().recv_into(*into)


class _Connection(urllib3.connection.HTTPConnection):
    def _new_conn(self) -> socket.socket:
        sock = _Socket(fileno=super()._new_conn().detach())
        sock.settimeout(self.timeout)
        return sock


class RestTransport:
    """See ``Transport``; made as ``GrpcTransport`` is, but each thread needs one of its own."""

    def __init__(self, address: str, model: str, version: int | str = 0):
        # Without repeating calls, following redirections or asking proxies.
        self._pool = urllib3.connection_from_url(f"http://{address}", retries=False)
        self._pool.ConnectionCls = _Connection
        self.close = self._pool.close
        self._path = f"/v1/models/{model}"
        if version:
            kind = "labels" if isinstance(version, str) else "versions"
            self._path += f"/{kind}/{quote(str(version), safe='')}"

    def signatures(self, seconds: float) -> dict[str, list[str]]:
        """See ``Transport``."""
        answer = self._exchange("GET", f"{self._path}/metadata", None, seconds)
        with reading_answer():
            found = answer["metadata"]["signature_def"]["signature_def"]
            return {name: list(signature["inputs"]) for name, signature in found.items()}

    def predict(self, signature: str, inputs: Arrays, seconds: float) -> Arrays:
        """See ``Transport``."""
        columns = {key: array.tolist() for key, array in inputs.items()}
        body = {"signature_name": signature, "inputs": columns}
        text = json.dumps(body, default=_encoded, separators=(",", ":"))
        answer = self._exchange("POST", f"{self._path}:predict", text, seconds)
        with reading_answer():
            outputs = answer["outputs"]
            if not isinstance(outputs, dict):  # an output that is alone goes without its name
                outputs = {"embedding": outputs}
            return {key: _array(values) for key, values in outputs.items()}

    def _exchange(self, method: str, path: str, body: str | None, seconds: float) -> dict[str, Any]:
        how: dict[str, Any] = {
            "headers": _HEADERS,
            "timeout": urllib3.Timeout(seconds),
            "preload_content": False,
        }
        content = b""
        try:
            with contextlib.closing(self._pool.request(method, path, body, **how)) as response:
                while piece := response.read(2**20, decode_content=False):
                    content += piece
                    if len(content) > MOST_BYTES:
                        raise CallError("DATA_LOSS", f"it has more than {MOST_BYTES:,} bytes")
        except urllib3.exceptions.HTTPError as error:
            cause = error.__context__ or error  # what the socket said
            code = "DEADLINE_EXCEEDED" if isinstance(cause, TimeoutError) else "UNAVAILABLE"
            raise CallError(code, str(cause) or type(cause).__name__) from error
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError):
            said = f"HTTP status {response.status}, and no JSON: {content[:200]!r}"
            raise CallError(code_of(response.status), said) from None
        with reading_answer():
            if response.status == 200 and "error" not in answer:
                return answer
            raise CallError(code_of(response.status), answer.get("error", "no reason given"))


def _encoded(value: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(value).decode()}


def _array(values: Any) -> np.ndarray:
    """Numbers or texts, which NumPy would turn into each other."""
    array = np.array(values, dtype=object)
    kinds = set(map(type, array.flat))
    if not kinds <= {str} and not kinds <= {int, float}:
        raise ValueError(f"values of {', '.join(kind.__name__ for kind in kinds)}")
    with np.errstate(over="ignore"):  # what is not finite then is refused
        return array if kinds == {str} else array.astype(np.float32)
