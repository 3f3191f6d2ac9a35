"""The model as the gRPC services of TensorFlow Serving: PredictionService and ModelService.

Requests arrive as bytes and are parsed here, because gRPC would answer a request that is too large
or no message at all by itself, with codes that say "try again" or "our fault".
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError, Message
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis.get_model_metadata_pb2 import (
    GetModelMetadataRequest,
    GetModelMetadataResponse,
)
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest
from tensorflow_serving.apis.predict_pb2 import PredictRequest, PredictResponse

from cmnas_tf.serving.call_error import CallError, refused
from cmnas_tf.serving.development_server.loaded_version import DEFAULT_SIGNATURE
from cmnas_tf.serving.development_server.served_model import ServedModel
from cmnas_tf.serving.tensor_proto import read_tensor

WORKERS = 16
WAITING = 64  # more calls than this are told to come again
# Beyond this gRPC itself refuses (RESOURCE_EXHAUSTED), before the bytes are in memory.
TRANSPORT_MEGABYTES = 1024


def start(model: ServedModel, address: str) -> tuple[grpc.Server, int]:
    """A server that answers at ``HOST:PORT``, and its port; port 0 takes any free one.

    Raises:
      RuntimeError: the address is taken.
    """
    server = grpc.server(
        ThreadPoolExecutor(WORKERS, thread_name_prefix="grpc"),
        handlers=_handlers(model),
        options=[
            ("grpc.max_receive_message_length", TRANSPORT_MEGABYTES * 10**6),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),  # or two servers would share a port and the calls
        ],
        maximum_concurrent_rpcs=WAITING,
    )
    port = server.add_insecure_port(address)
    server.start()
    return server, port


def _handlers(model: ServedModel) -> list[grpc.GenericRpcHandler]:
    def method(kind: type[Message], answer: Callable[..., Message]) -> Any:
        def handle(data: bytes, context: grpc.ServicerContext) -> bytes:
            try:
                model.require_size(len(data))
                request, seconds = _parsed(kind, data), context.time_remaining()
                return answer(model, request, seconds).SerializeToString()
            except CallError as error:
                context.abort(getattr(grpc.StatusCode, error.code), str(error)[:2000])  # raises
                raise

        return grpc.unary_unary_rpc_method_handler(handle)

    status = method(GetModelStatusRequest, lambda model, asked, _: model.status(asked.model_spec))
    services = {
        "PredictionService": {
            "Predict": method(PredictRequest, _predict),
            "GetModelMetadata": method(GetModelMetadataRequest, _metadata),
        },
        "ModelService": {"GetModelStatus": status},
    }
    return [
        grpc.method_handlers_generic_handler(f"tensorflow.serving.{name}", methods)
        for name, methods in services.items()
    ]


def _parsed(kind: type[Message], data: bytes) -> Message:
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise refused(f"This is no {kind.__name__}: {error}.") from error


def _predict(model: ServedModel, request: PredictRequest, seconds: float | None) -> PredictResponse:
    signature = request.model_spec.signature_name
    inputs = {name: _array(name, tensor) for name, tensor in request.inputs.items()}
    with model.using(request.model_spec) as version:
        outputs = version.predict(signature, inputs, seconds)
    if unknown := set(request.output_filter) - set(outputs):
        raise refused(
            f"No output is called {', '.join(sorted(unknown))}; there are {', '.join(outputs)}."
        )
    if len(set(request.output_filter)) < len(request.output_filter):
        raise refused(f"An output is asked for twice: {', '.join(request.output_filter)}.")
    wanted = request.output_filter or outputs
    return PredictResponse(
        model_spec=model.spec_of(version, signature or DEFAULT_SIGNATURE),
        outputs={name: tf.make_tensor_proto(outputs[name]) for name in wanted},
    )


def _metadata(
    model: ServedModel, request: GetModelMetadataRequest, _: float | None
) -> GetModelMetadataResponse:
    if list(request.metadata_field) != ["signature_def"]:
        raise refused("metadata_field must be signature_def alone.")
    spec, signatures = model.signatures(request.model_spec)
    answer = GetModelMetadataResponse(model_spec=spec)
    answer.metadata["signature_def"].Pack(signatures)
    return answer


def _array(name: str, tensor: tensor_pb2.TensorProto) -> np.ndarray:
    try:
        return read_tensor(tensor)
    except ValueError as error:
        raise refused(f"Input {name!r} is no tensor: {error}.") from error
