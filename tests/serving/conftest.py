"""Servers and the models they serve."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from cmnas_tf.devices.frozen_weights import ASSUMED
from cmnas_tf.serving.call_error import CallError
from cmnas_tf.serving.client.grpc_transport import GrpcTransport
from cmnas_tf.serving.client.remote_model import Transport
from cmnas_tf.serving.client.rest_transport import RestTransport
from cmnas_tf.serving.development_server.local_serving import LocalServing
from cmnas_tf.serving.development_server.server import LocalServer, serve_locally
from tests.serving import stand_in

IMAGE = "tensorflow/serving:2.15.1"


class Endpoint(NamedTuple):
    """A server that runs, and the folder whose versions it serves."""

    base: Path
    grpc: str
    rest: str

    @contextlib.contextmanager
    def open(
        self, transport: str, model: str = "reid", version: int | str = 0
    ) -> Iterator[Transport]:
        kind = {"grpc": GrpcTransport, "rest": RestTransport}[transport]
        with contextlib.closing(kind(getattr(self, transport), model, version)) as opened:
            yield opened


@pytest.fixture(scope="session")
def models(tmp_path_factory) -> Path:
    """Versions 1 and 2 of the stand-in, version 1 with a gallery; not to be changed."""
    base = tmp_path_factory.mktemp("models")
    stand_in.write(base, 1, stand_in.pictures(stand_in.PEOPLE))
    stand_in.write(base, 2)
    return base


@contextlib.contextmanager
def local_server(base: Path, **changes) -> Iterator[tuple[LocalServer, Endpoint]]:
    options = {"port": 0, "rest_api_port": 0, "grace_seconds": 5.0, **changes}
    with serve_locally(LocalServing(model_base_path=str(base), **options)) as server:
        ports = server.grpc_port, server.rest_port
        yield server, Endpoint(base, *(f"127.0.0.1:{port}" for port in ports))


@contextlib.contextmanager
def tensorflow_serving(base: Path) -> Iterator[Endpoint]:
    """The real one: the program that TF_SERVING_BINARY names, or a container that is there."""
    if binary := os.environ.get("TF_SERVING_BINARY"):
        with binary_server(binary, base) as endpoint:
            yield endpoint
    elif _has_container():
        with _container(base) as endpoint:
            yield endpoint
    else:
        pytest.skip(f"TF_SERVING_BINARY is not set, and docker has no {IMAGE}")


@contextlib.contextmanager
def binary_server(binary: str, base: Path) -> Iterator[Endpoint]:
    """What the server writes is shown where a test fails or the server ends."""
    with contextlib.ExitStack() as held:
        ports = [held.enter_context(held_port()) for _ in range(2)]
        command = [binary, f"--port={ports[0]}", f"--rest_api_port={ports[1]}", "--model_name=reid"]
        command += [f"--model_base_path={base}", "--file_system_poll_wait_seconds=1"]
        command += ["--grpc_max_threads=64"]
        output = held.enter_context(tempfile.TemporaryFile())
        served = {**os.environ, ASSUMED: "1"}
        process = subprocess.Popen(command, stderr=subprocess.STDOUT, stdout=output, env=served)
        try:
            endpoint = Endpoint(base, *(f"127.0.0.1:{port}" for port in ports))
            _wait_until_ready(endpoint, lambda: process.poll() is None)
            yield endpoint
        finally:
            process.terminate()
            process.wait(60)
            output.seek(0)
            print(output.read().decode(errors="replace"), end="")


@contextlib.contextmanager
def held_port() -> Iterator[int]:
    """A free port that the system gives to nobody else, and that a server may yet listen on.

    The socket here has the port and does not listen; whoever asks for this very port, and allows to
    share it, as servers do, gets it too.
    """
    with socket.socket() as holding:
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            holding.setsockopt(socket.SOL_SOCKET, option, 1)
        holding.bind(("127.0.0.1", 0))
        yield holding.getsockname()[1]


def _has_container() -> bool:
    """Nothing is fetched: tests need no network."""
    if not shutil.which("docker"):
        return False
    command = ["docker", "image", "inspect", IMAGE]
    return subprocess.run(command, capture_output=True, timeout=30).returncode == 0


@contextlib.contextmanager
def _container(base: Path) -> Iterator[Endpoint]:
    def docker(*words: str) -> str:
        done = subprocess.run(["docker", *words], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    name = docker(
        *("run", "--detach", "--rm", "-p", "127.0.0.1::8500", "-p", "127.0.0.1::8501"),
        *("-v", f"{base}:/models/reid:ro", "-e", "MODEL_NAME=reid", "-e", f"{ASSUMED}=1", IMAGE),
        *("--file_system_poll_wait_seconds=1", "--grpc_max_threads=64"),
    )
    try:
        endpoint = Endpoint(base, *(docker("port", name, port) for port in ("8500", "8501")))
        running = ("inspect", "--format={{.State.Running}}", name)
        _wait_until_ready(endpoint, lambda: docker(*running) == "true")
        yield endpoint
    finally:
        docker("stop", "--time=1", name)


def _wait_until_ready(endpoint: Endpoint, is_alive) -> None:
    end = time.monotonic() + 120
    with endpoint.open("rest") as transport:
        while True:
            try:
                transport.signatures(1.0)
                return
            except CallError as error:
                assert is_alive(), "the server ended"
                assert time.monotonic() < end, f"the server is not ready: {error}"
            time.sleep(0.2)  # another program, which tells nobody that it is ready
