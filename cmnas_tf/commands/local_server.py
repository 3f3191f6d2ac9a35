"""``cmnas local_server``: serves a model where TensorFlow Serving is not at hand."""

import logging
import threading
from dataclasses import dataclass

from cmnas_tf.extras import needing
from cmnas_tf.interrupt import signals_handled_by
from cmnas_tf.options import Options
from cmnas_tf.serving.development_server.local_serving import LocalServing


@dataclass(frozen=True, kw_only=True)
class LocalServer(Options):
    """Serves an exported model by gRPC and REST, for development and tests."""

    serving: LocalServing = LocalServing()


def main(command: LocalServer) -> None:
    """Serves until Ctrl-C or SIGTERM; requests that are under way are answered first."""
    with needing("serving"):
        from cmnas_tf.serving.development_server.server import serve_locally

    # TensorFlow calls sessions deprecated, in two lines for each version.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    stop, served = threading.Event(), command.serving
    print("This server is for development and tests. Use TensorFlow Serving for anything else.")
    with signals_handled_by(lambda *_: stop.set()), serve_locally(served) as server:
        print(
            f"model {served.model_name!r}: gRPC on {served.host}:{server.grpc_port}, REST on "
            f"http://{served.host}:{server.rest_port}/v1/models/{served.model_name}",
            flush=True,
        )
        for event in server.watch(stop, served.file_system_poll_wait_seconds):
            print(event, flush=True)
    print("stopped")
