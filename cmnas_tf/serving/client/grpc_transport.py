"""Speaking gRPC to a model server."""

from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataRequest, SignatureDefMap
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

from cmnas_tf.reading import MOST_BYTES
from cmnas_tf.serving.call_error import CallError, reading_answer
from cmnas_tf.serving.client.remote_model import Arrays
from cmnas_tf.serving.tensor_proto import read_tensor

_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", MOST_BYTES),
    ("grpc.enable_http_proxy", 0),  # a proxy for web pages seldom leads to a model server
    # How soon a server that was away is noticed to be back; the default grows to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
]


class GrpcTransport:
    """See ``Transport``; threads may share one.

    Args:
      address: ``HOST:PORT``.
      model: its name.
      version: of the model, its number or its label; 0: whichever the server answers with.
    """

    def __init__(self, address: str, model: str, version: int | str = 0):
        self._channel = grpc.insecure_channel(address, options=_OPTIONS)
        self.close = self._channel.close
        self._service = PredictionServiceStub(self._channel)
        self._spec = ModelSpec(name=model)
        if isinstance(version, str):
            self._spec.version_label = version
        elif version:
            self._spec.version.value = version

    def signatures(self, seconds: float) -> dict[str, list[str]]:
        """See ``Transport``."""
        request = GetModelMetadataRequest(model_spec=self._spec, metadata_field=["signature_def"])
        answer = _call(self._service.GetModelMetadata, request, seconds)
        found = SignatureDefMap()
        with reading_answer():
            answer.metadata["signature_def"].Unpack(found)
        return {name: list(signature.inputs) for name, signature in found.signature_def.items()}

    def predict(self, signature: str, inputs: Arrays, seconds: float) -> Arrays:
        """See ``Transport``."""
        tensors = {key: tf.make_tensor_proto(array) for key, array in inputs.items()}
        request = PredictRequest(model_spec=self._spec, inputs=tensors)
        request.model_spec.signature_name = signature
        answer = _call(self._service.Predict, request, seconds)
        with reading_answer():
            return {key: _array(tensor) for key, tensor in answer.outputs.items()}


def _call(method: Callable[..., Any], request: Any, seconds: float) -> Any:
    try:
        return method(request, timeout=seconds)
    except grpc.RpcError as error:
        raise CallError(error.code().name, error.details() or "no reason given") from error


def _array(tensor: Any) -> np.ndarray:
    array = read_tensor(tensor)
    return np.vectorize(bytes.decode, "O")(array) if array.dtype == object else array
