"""``python -m export.local_server``: serves a model where TensorFlow Serving is not at hand."""

from cmnas_tf import command_line, settings


def main(options: settings.LocalServer) -> None:
    """Serves until Ctrl-C or SIGTERM; requests that are under way are answered first."""
    import logging
    import signal
    import threading

    from cmnas_tf.serving.development_server.server import serving

    # TensorFlow calls sessions deprecated, in two lines for each version.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    served = options.serving
    print("This server is for development and tests. Use TensorFlow Serving for anything else.")
    with serving(served) as server:
        print(
            f"model {served.model_name!r}: gRPC on {served.host}:{server.grpc_port}, REST on "
            f"http://{served.host}:{server.rest_port}/v1/models/{served.model_name}",
            flush=True,
        )
        for event in server.watch(stop, served.file_system_poll_wait_seconds):
            print(event, flush=True)
    print("stopped")


if __name__ == "__main__":
    command_line.run(main, settings.LocalServer)
