"""``cmnas local_server``: serves a model where TensorFlow Serving is not at hand."""

import logging
import os
import signal
import threading

from cmnas_tf.devices.frozen_weights import ASSUMED
from cmnas_tf.extras import needing
from cmnas_tf.interrupt import signals_handled_by
from cmnas_tf.serving.development_server.local_serving import LocalServing


def main(served: LocalServing) -> None:
    """Serves until Ctrl-C, SIGTERM or SIGHUP; answers what is under way, and ends with code 0."""
    with needing("serving"):
        from cmnas_tf.serving.development_server.server import serve_locally

    os.environ.setdefault(ASSUMED, "1")
    # TensorFlow calls sessions deprecated, in two lines for each version.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    stop, asked = threading.Event(), []

    def end(number: int, _: object) -> None:
        asked.append(number)
        stop.set()

    print("This server is for development and tests. Use TensorFlow Serving for anything else.")
    with signals_handled_by(end), serve_locally(served) as server:
        print(
            f"model {served.model_name!r}: gRPC on {served.host}:{server.grpc_port}, REST on "
            f"http://{served.host}:{server.rest_port}/v1/models/{served.model_name}",
            flush=True,
        )
        for event in server.watch(stop, served.file_system_poll_wait_seconds):
            print(event, flush=True)
    print(f"stopped by {signal.Signals(asked[0]).name}")
