"""Fetching ImageNet weights, from a server on this machine."""

import hashlib
import http.server
import re
import socket
import threading

import pytest

from cmnas_tf.architecture import BACKBONES
from cmnas_tf.errors import BadInput
from cmnas_tf.weights import imagenet
from cmnas_tf.weights.imagenet import imagenet_file

CONTENT = bytes(range(256)) * 8192  # 2 MB, two parts
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Gives what ``answers`` has for a path; every request is noted."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = {"/model.safetensors": (200, CONTENT)}
        self.requests = []

    def url(self, path="/model.safetensors"):
        return f"http://127.0.0.1:{self.server_port}{path}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append(self.path)
        status, body = self.server.answers.get(self.path, (404, b"not here"))
        self.send_response(status)
        if status == 302:
            self.send_header("Location", body.decode())
        self.send_header("Content-Length", str(len(CONTENT if status == 200 else body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "cmnas_tf"


def serve(monkeypatch, url, sha256=DIGEST):
    monkeypatch.setitem(imagenet.FILES, "resnet50", (url, sha256))


@pytest.mark.parametrize("digits", [8, 64])
def test_a_file_is_fetched_once(server, cache, monkeypatch, digits):
    """With the whole checksum, or the digits that torchvision puts into its file names."""
    serve(monkeypatch, server.url(), DIGEST[:digits])
    path = imagenet_file("resnet50")
    assert path == cache / f"resnet50-{DIGEST[:8]}.safetensors"
    assert path.read_bytes() == CONTENT
    assert imagenet_file("resnet50") == path
    assert server.requests == ["/model.safetensors"]
    assert list(cache.iterdir()) == [path]


def test_a_damaged_cache_is_fetched_again(server, monkeypatch):
    serve(monkeypatch, server.url())
    path = imagenet_file("resnet50")
    path.write_bytes(CONTENT[:-1])
    assert imagenet_file("resnet50").read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_a_redirection_is_followed(server, monkeypatch):
    server.answers["/moved"] = (302, server.url().encode())
    serve(monkeypatch, server.url("/moved"))
    assert imagenet_file("resnet50").read_bytes() == CONTENT


@pytest.mark.parametrize("body", [CONTENT[:-1] + b"x", CONTENT[: 3 << 19], b""])
def test_another_file_is_not_kept(server, cache, monkeypatch, body):
    """Another last byte; a connection that ends too early."""
    server.answers["/model.safetensors"] = (200, body)
    serve(monkeypatch, server.url())
    with pytest.raises(BadInput) as refused:
        imagenet_file("resnet50")
    assert server.url() in str(refused.value) and "`import_weights`" in str(refused.value)
    assert DIGEST in str(refused.value) or "could not be fetched" in str(refused.value)
    assert not list(cache.iterdir())


def test_a_server_without_the_file(server, cache, monkeypatch):
    serve(monkeypatch, server.url("/absent"))
    with pytest.raises(BadInput, match=r"resnet50 could not be fetched from .*/absent .*404"):
        imagenet_file("resnet50")
    assert not list(cache.iterdir())


def test_no_network(cache, monkeypatch):
    """A port on which nobody listens."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    serve(monkeypatch, f"http://127.0.0.1:{port}/model.safetensors")
    with pytest.raises(BadInput) as refused:
        imagenet_file("resnet50")
    assert re.search(
        rf"resnet50 could not be fetched from http://127\.0\.0\.1:{port}/.* \(.*refused.*\)\. Try "
        r"again where there is a network\. Or fetch it by hand, .*\(`import_weights`\), .* "
        r"`initial_weights`\.",
        str(refused.value),
    )
    assert not list(cache.iterdir())


def test_every_backbone_has_a_file_of_one_version():
    """No branch names, which move on; torchvision's checksum is the one in the file's name."""
    assert set(imagenet.FILES) == set(BACKBONES)
    for backbone, (url, sha256) in imagenet.FILES.items():
        assert re.fullmatch(r"[0-9a-f]{64}|[0-9a-f]{8}", sha256)
        version = r"timm/{0}\.tv_in1k/resolve/[0-9a-f]{{40}}/model\.safetensors"
        if len(sha256) == 8:
            version = r"models/{0}-{1}\.pth"
        assert re.search(rf"/{version.format(backbone, sha256)}$", url)
