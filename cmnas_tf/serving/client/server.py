"""A model server: which one, how it is asked, and what to do where it does not answer."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cmnas_tf.errors import BadInput
from cmnas_tf.extras import needing
from cmnas_tf.options import Options, advanced, option
from cmnas_tf.serving.call_error import CallError
from cmnas_tf.serving.client.remote_model import RemoteModel, Retries, Transport
from cmnas_tf.serving.exported_model import MODEL_NAME

_DEFAULT_ADDRESS = {"grpc": "127.0.0.1:8500", "rest": "127.0.0.1:8501"}


@dataclass(frozen=True, kw_only=True)
class Server(Options):
    """Which server, which model, and how it is asked."""

    server: str = option(
        "", "HOST:PORT of the server; by default port 8500 (gRPC) or 8501 (REST) of this machine."
    )
    transport: str = option("grpc", "Protocol to speak.", choices=("grpc", "rest"))
    model_name: str = option(MODEL_NAME, "Name of the model on the server.")
    version: int = advanced(0, "Version of the model; 0: the newest one that is served.", minimum=0)
    version_label: str = advanced(
        "", "Label that the server gives to the version, such as stable, in place of a number."
    )
    deadline_seconds: float = advanced(
        30.0, "Seconds after which a request is given up, its retries included.", minimum=0.001
    )
    retries: int = advanced(
        5, "How often a request is repeated while the server is away or has no room.", minimum=0
    )
    backoff_seconds: float = advanced(
        0.2, "Longest wait before the first retry; it doubles with each, up to 5 s.", minimum=0
    )
    seed: int = advanced(0, "Seed of the random part of each wait.", minimum=0, maximum=2**32 - 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.version and self.version_label:
            raise BadInput(
                f"version={self.version} and version_label={self.version_label} both say which "
                "version of the model. Give one of them."
            )

    @property
    def address(self) -> str:
        """``HOST:PORT``."""
        return self.server or _DEFAULT_ADDRESS[self.transport]

    @contextlib.contextmanager
    def connected(self) -> Iterator[RemoteModel]:
        """The model on the server.

        Raises:
          BadInput: the address is invalid; or a call in the block failed, with what to do about it.
        """
        host, _, port = self.address.rpartition(":")
        if not host or "/" in host or not port.isdecimal() or int(port) > 65535:
            raise BadInput(
                f"server={self.address!r} must be HOST:PORT alone, for example 127.0.0.1:8500; "
                "whether it speaks HTTP is said by `transport`."
            )
        random = np.random.default_rng(self.seed)
        retries = Retries(self.retries, self.backoff_seconds, self.deadline_seconds, random)
        with contextlib.closing(self._transport()) as transport:
            try:
                yield RemoteModel(transport, retries)
            except CallError as error:
                raise BadInput(self._explained(error)) from error

    def _transport(self) -> Transport:
        model = self.address, self.model_name, self.version_label or self.version
        with needing("serving"):
            if self.transport == "rest":
                from cmnas_tf.serving.client.rest_transport import RestTransport

                return RestTransport(*model)
            from cmnas_tf.serving.client.grpc_transport import GrpcTransport

            return GrpcTransport(*model)

    def _explained(self, error: CallError) -> str:
        at, said = f"{self.address} ({self.transport})", error.sentence
        version = f" version={self.version}" if self.version else ""
        if self.version_label:
            version = f" version_label={self.version_label}"
        explained = {
            "UNAVAILABLE": f"No model server answers at {at}: {said} Start one, for example with "
            "`serve_locally`, or correct `server` and `transport`.",
            "NOT_FOUND": f"The server at {at} does not serve model_name={self.model_name}{version}:"
            f" {said} Correct what it is asked for.",
            "DEADLINE_EXCEEDED": f"The server at {at} did not answer within deadline_seconds="
            f"{self.deadline_seconds:g}. Give it more time, or fewer images at once with "
            "`batch_size`.",
            "RESOURCE_EXHAUSTED": f"The server at {at} has no room for the request, after "
            f"{self.retries} retries: {said} Come back later, or send fewer images at once with "
            "`batch_size`.",
            "DATA_LOSS": f"The server at {at} answered what is no answer of such a model: {said} "
            "Correct `server`, `transport` and `model_name`, or send fewer images at once with "
            "`batch_size`.",
            "FAILED_PRECONDITION": f"The model at {at} cannot do this: {said} A model identifies "
            "people if it was exported with `gallery`; without one, give `search_in`.",
        }
        other = f"The server at {at} failed, and its own log says why: {error.code}. {said}"
        return explained.get(error.code, other)
