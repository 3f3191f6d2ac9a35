"""Speaking REST to a model server: JSON over HTTP, in the columnar format."""

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import urllib3

from cmnas_tf.serving.call_error import CallError, code_of
from cmnas_tf.serving.client.remote_model import Signature

_HEADERS = {"Content-Type": "application/json"}


class RestTransport:
    """See ``Transport``; made as ``GrpcTransport`` is, but each thread needs one of its own."""

    def __init__(self, address: str, model: str, version: int = 0):
        # Without repeating calls, following redirections or asking proxies.
        self._pool = urllib3.connection_from_url(f"http://{address}", retries=False)
        self._path = f"/v1/models/{model}" + (f"/versions/{version}" if version else "")

    def signatures(self, seconds: float) -> dict[str, Signature]:
        """What the model can be asked, by name."""
        answer = self._exchange("GET", f"{self._path}/metadata", None, seconds)
        found = answer["metadata"]["signature_def"]["signature_def"]
        return {
            name: Signature(tuple(signature["inputs"]), tuple(signature["outputs"]))
            for name, signature in found.items()
            if not name.startswith("__")  # a server lists what runs when a model is loaded, too
        }

    def predict(
        self, name: str, signature: Signature, inputs: Mapping[str, np.ndarray], seconds: float
    ) -> dict[str, np.ndarray]:
        """Asks once."""
        columns = {key: array.tolist() for key, array in inputs.items()}
        body = {"signature_name": name, "inputs": columns}
        text = json.dumps(body, default=_encoded, separators=(",", ":"))
        answer = self._exchange("POST", f"{self._path}:predict", text, seconds)["outputs"]
        if len(signature.outputs) == 1:  # goes without its name
            answer = {signature.outputs[0]: answer}
        return {key: _array(values) for key, values in answer.items()}

    def close(self) -> None:
        """Ends the connection."""
        self._pool.close()

    def _exchange(self, method: str, path: str, body: str | None, seconds: float) -> Any:
        try:
            response = self._pool.request(method, path, body, headers=_HEADERS, timeout=seconds)
        except urllib3.exceptions.HTTPError as error:
            cause = error.__context__ or error  # what the socket said
            code = "DEADLINE_EXCEEDED" if isinstance(cause, TimeoutError) else "UNAVAILABLE"
            raise CallError(code, str(cause) or type(cause).__name__) from error
        try:
            answer = response.json()
        except ValueError:
            said = f"HTTP status {response.status}, and no JSON: {response.data[:200]!r}"
            raise CallError(code_of(response.status), said) from None
        if response.status != 200 or "error" in answer:
            raise CallError(code_of(response.status), answer.get("error", "no reason given"))
        return answer


def _encoded(value: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(value).decode()}


def _array(values: Any) -> np.ndarray:
    array = np.array(values)
    return array.astype(object if array.dtype.kind == "U" else np.float32)
