"""Servers that answer what they like: a sentence within the deadline, or a well-formed answer."""

import contextlib
import json
import re
import socket
import threading
import time
from concurrent import futures

import grpc
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2

from cmnas_tf.errors import BadInput
from cmnas_tf.reading import MOST_BYTES
from cmnas_tf.serving.client.answers import Answers
from cmnas_tf.serving.client.server import Server
from cmnas_tf.serving.entries import Entry
from cmnas_tf.serving.gallery import Matches
from tests.mutations import MUTATIONS, SEED, mutated

NAMES = {
    "embed": (("image_bytes", "modality"), ("embedding",)),
    "identify": (("image_bytes", "modality", "camera", "k"), ("ids", "cameras", "scores")),
}
METADATA = {
    "metadata": {
        "signature_def": {
            "signature_def": {
                name: {
                    "inputs": {key: {} for key in inputs},
                    "outputs": {key: {} for key in outputs},
                }
                for name, (inputs, outputs) in NAMES.items()
            }
        }
    }
}
EMBEDDING = {"outputs": [[0.5, 0.5, 0.5, 0.5]]}
MATCHES = {"outputs": {"ids": [["a", "b"]], "cameras": [["1", "2"]], "scores": [[0.5, 0.25]]}}
SPEED = settings(
    max_examples=MUTATIONS,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
LEAVES = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


def http(body: bytes, status: int = 200, then: bytes = b"close") -> bytes:
    head = b"HTTP/1.1 %d Said\r\nConnection: %s\r\nContent-Length: %d\r\n\r\n"
    return head % (status, then, len(body)) + body


def is_whole(request: bytes) -> bool:
    head, end, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head, re.IGNORECASE)
    return bool(end) and len(body) >= int(length[1] if length else 0)


class RestServer:
    """Gives each connection what is to be said, and then closes it unless that says otherwise.

    Attributes:
      said: by method, the pieces.
      pause: seconds between them.
      connections: how many there were.
    """

    def __init__(self):
        self.said, self.pause, self.connections = {}, 0.0, 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"

    def _serve(self):
        while True:
            accepted, _ = self._socket.accept()
            self.connections += 1
            with accepted, contextlib.suppress(OSError):
                while self._answer(accepted):
                    pass
            if not self.said:
                return

    def _answer(self, accepted) -> bool:
        request = b""
        while not is_whole(request):
            read = accepted.recv(1 << 16)
            if not read:
                return False
            request += read
        pieces = self.said["GET" if request.startswith(b"GET") else "POST"]
        for piece in pieces:
            accepted.sendall(piece)
            time.sleep(self.pause)
        return b"keep-alive" in pieces[0]

    def close(self):
        self.said = {}
        socket.create_connection(self._socket.getsockname()).close()
        self._thread.join()
        self._socket.close()


@pytest.fixture
def rest():
    with contextlib.closing(RestServer()) as server:
        server.said = {"GET": [http(json.dumps(METADATA).encode())], "POST": [b""]}
        yield server


def call(server: Server, action: str):
    """What one image is answered: an array, matches, or the sentence that refuses the answer."""
    try:
        with server.connected() as model:
            if action == "embed":
                return model.embed([b"image"], ["visible"])
            return model.identify([b"image"], ["visible"], [""], 2)
    except BadInput as error:
        said = str(error)
        assert "\n" not in said and said.isprintable() and len(said) < 2000
        return said


def ask_rest(rest, action, **changes):
    return call(Server(server=rest.address, transport="rest", retries=0, **changes), action)


def check(found, action):
    """A sentence, or what a server that keeps the protocol may have answered."""
    if isinstance(found, str):
        return
    if action == "embed":
        assert found.dtype == np.float32 and found.ndim == 2 and len(found) == 1
        assert np.isfinite(found).all()
        return
    assert all(column.shape == (1, 2) for column in found)
    assert np.isfinite(found.scores).all()
    assert all(isinstance(text, str) for text in [*found.ids.flat, *found.cameras.flat])


@pytest.mark.parametrize(("action", "answer"), [("embed", EMBEDDING), ("identify", MATCHES)])
def test_a_good_answer_is_taken(rest, action, answer):
    rest.said["POST"] = [http(json.dumps(answer).encode())]
    found = ask_rest(rest, action)
    assert not isinstance(found, str), found
    check(found, action)


def test_a_connection_is_used_again_and_its_time_is_counted_anew(rest):
    rest.said = {"GET": [http(json.dumps(METADATA).encode(), then=b"keep-alive")]}
    rest.said["POST"] = [http(json.dumps(EMBEDDING).encode(), then=b"keep-alive")]
    server = Server(server=rest.address, transport="rest", retries=0, deadline_seconds=0.5)
    with server.connected() as model:
        for _ in range(3):
            assert model.embed([b"image"], ["visible"]).shape == (1, 4)
            time.sleep(0.3)
    assert rest.connections == 1


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("embed", b"<html><body>It works!</body></html>"),
        ("embed", b'{"outputs": [[1, 2], [3, 4]]}'),
        ("embed", b'{"outputs": [[1, 2], [3]]}'),
        ("embed", b'{"outputs": [[NaN, 1]]}'),
        ("embed", b'{"outputs": [[1e999, 1]]}'),
        ("embed", b'{"outputs": [[1e39, 1]]}'),
        ("embed", b'{"outputs": [["1", "2"]]}'),
        ("embed", b'{"outputs": [[true, false]]}'),
        ("embed", b'{"outputs": [[null]]}'),
        ("embed", b'{"outputs": [[]]}'),
        ("embed", b'{"outputs": 3}'),
        ("embed", b'{"outputs": {}}'),
        ("embed", b'{"outputs": [[1' + 400 * b"0" + b"]]}"),
        ("embed", b'{"outputs": [[1' + 5000 * b"0" + b"]]}"),
        ("embed", b'{"outputs": ' + 5000 * b"[" + 5000 * b"]" + b"}"),
        ("embed", b'{"outputs": ' + 500000 * b"["),
        ("embed", b'{"output": []}'),
        ("embed", b'{"outputs": [["' + 10**6 * b"a" + b'"' + 10**6 * b", 1" + b"]]}"),
        ("embed", b"[]"),
        ("embed", b"3"),
        ("embed", b"\xff\xfe{"),
        ("embed", b'{"error": {"why": "\\u001b[2J"}}'),
        ("identify", b'{"outputs": {"ids": [["a", "b"]], "scores": [[1, 2]]}}'),
        ("identify", b'{"outputs": {"ids": [["a", 1]], "cameras": [["", 1]], "scores": [[1, 2]]}}'),
        ("identify", b'{"outputs": {"ids": [["a"]], "cameras": [["1"]], "scores": [[1]]}}'),
        ("identify", b'{"outputs": [["a", "b"]]}'),
    ],
)  # fmt: skip
def test_malformed_answers_are_a_sentence(rest, action, body):
    rest.said["POST"] = [http(body)]
    found = ask_rest(rest, action)
    assert isinstance(found, str), found
    assert "answered what is no answer" in found or "failed, and its own log" in found


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"metadata": 3}', b"x", b'"metadata"'])
def test_malformed_metadata_are_a_sentence(rest, body):
    rest.said["GET"] = [http(body)]
    assert isinstance(ask_rest(rest, "embed"), str)


@given(value=VALUES, inside=st.booleans(), action=st.sampled_from(list(NAMES)))
@SPEED
def test_whatever_json_it_answers(rest, value, inside, action):
    rest.said["POST"] = [http(json.dumps({"outputs": value} if inside else value).encode())]
    check(ask_rest(rest, action), action)


@given(value=VALUES)
@SPEED
def test_whatever_json_describes_the_model(rest, value):
    rest.said["GET"] = [http(json.dumps({"metadata": {"signature_def": value}}).encode())]
    rest.said["POST"] = [http(json.dumps(EMBEDDING).encode())]
    check(ask_rest(rest, "embed"), "embed")


def test_mutated_answers(rest):
    """Of the server, its head too."""
    random = np.random.default_rng(SEED)
    good = {
        ("GET", "embed"): http(json.dumps(METADATA).encode()),
        ("POST", "embed"): http(json.dumps(EMBEDDING).encode()),
        ("POST", "identify"): http(json.dumps(MATCHES).encode()),
    }
    for number in range(MUTATIONS):
        for (method, action), said in good.items():
            rest.said = {"GET": [good["GET", "embed"]], "POST": [good["POST", action]]}
            rest.said[method] = [mutated(said, random)]
            found = ask_rest(rest, action, deadline_seconds=0.5)
            assert isinstance(found, str | np.ndarray | Matches), (SEED, number, said)
            check(found, action)


@pytest.mark.parametrize(
    "pieces",
    [
        [b"HTTP/1.1 200 OK\r\n", *100 * [b"A: b\r\n"]],  # a head without end
        [b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", *100 * [b" "]],
        [b"HTTP/1.1 200 OK\r\n\r\n", *100 * [b" "]],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *100 * [b"1\r\n \r\n"]],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *100 * [b"0"]],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", *100 * [b"A: b\r\n"]],
    ],
)
def test_an_answer_that_comes_little_by_little_is_given_up_at_the_deadline(rest, pieces):
    rest.said["GET"], rest.pause = pieces, 0.05
    started = time.monotonic()
    assert "did not answer within" in ask_rest(rest, "embed", deadline_seconds=0.3)
    assert time.monotonic() - started < 3  # all the pieces take 5


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 1000000000000\r\n\r\n",
        b"\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFF\r\n",
    ],
)
def test_an_answer_without_end_is_refused_at_a_stated_size(rest, head):
    rest.said["GET"] = [b"HTTP/1.1 200 OK\r\n" + head, *66 * [bytes(1 << 20)]]
    assert f"more than {MOST_BYTES:,} bytes" in ask_rest(rest, "embed")


def test_what_unfolds_is_not_unfolded(rest):
    rest.said["GET"] = [
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b"
    ]
    assert "no JSON" in ask_rest(rest, "embed")


def test_what_a_terminal_would_obey_is_escaped(rest, tmp_path):
    """In messages and in ids and cameras."""
    evil = "\x1b]0;owned\x07\r\n\u202e\x9b2J\ud800"
    rest.said["POST"] = [http(json.dumps({"error": f"no {evil}"}).encode(), 404)]
    assert r"no \x1b]0;owned\x07 \u202e\x9b2J\ud800." in ask_rest(rest, "embed")
    answer = {"outputs": {**MATCHES["outputs"], "ids": [[evil, "b"]], "cameras": [[evil, "2"]]}}
    rest.said["POST"] = [http(json.dumps(answer).encode())]
    found = Answers(
        [Entry(str(tmp_path), "", "", "visible")], np.empty((1, 0)), ask_rest(rest, "identify")
    )
    for said in (str(found), found.to_json()):
        assert not {"\x1b", "\x07", "\u202e", "\x9b", "\ud800", "\r"} & set(said)


class GrpcServer:
    """Answers each call with the bytes that are to be said, by the method's name."""

    def __init__(self):
        self.said = {}

        said = self.said

        class Handler(grpc.GenericRpcHandler):
            def service(self, call):
                name = call.method.rpartition("/")[2]
                return grpc.unary_unary_rpc_method_handler(lambda *_: said[name])

        self._server = grpc.server(
            futures.ThreadPoolExecutor(1),
            [Handler()],
            options=[("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)],
        )
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def close(self):
        self._server.stop(0).wait()


def metadata_message() -> bytes:
    answer = get_model_metadata_pb2.GetModelMetadataResponse()
    found = get_model_metadata_pb2.SignatureDefMap()
    for name, (inputs, outputs) in NAMES.items():
        for key in inputs:
            found.signature_def[name].inputs[key].name = key
        for key in outputs:
            found.signature_def[name].outputs[key].name = key
    answer.metadata["signature_def"].Pack(found)
    return answer.SerializeToString()


def message(**outputs) -> bytes:
    return predict_pb2.PredictResponse(outputs=outputs).SerializeToString()


def tensor(values, dtype=None):
    return tf.make_tensor_proto(values, dtype)


EMBEDDING_MESSAGE = message(embedding=tensor([[0.5, 0.5]]))
MATCHES_MESSAGE = message(
    ids=tensor([["a", "b"]]), cameras=tensor([["1", "2"]]), scores=tensor([[0.5, 0.25]])
)


@pytest.fixture(scope="module")
def by_grpc():
    with contextlib.closing(GrpcServer()) as server:
        yield server


@pytest.fixture
def ask_grpc(by_grpc):
    by_grpc.said.update(GetModelMetadata=metadata_message(), Predict=EMBEDDING_MESSAGE)

    def ask(action, **said):
        by_grpc.said.update(said)
        return call(Server(server=by_grpc.address, retries=0), action)

    return ask


def test_good_messages_are_taken(ask_grpc):
    np.testing.assert_array_equal(ask_grpc("embed"), [[0.5, 0.5]])
    found = ask_grpc("identify", Predict=MATCHES_MESSAGE)
    assert found.ids.tolist() == [["a", "b"]] and found.scores.tolist() == [[0.5, 0.25]]


def repeated(count):
    proto = tensor_pb2.TensorProto(dtype=1, float_val=[1.0])
    for size in (1, count):
        proto.tensor_shape.dim.add(size=size)
    return proto


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\xff\xff",
        message(embedding=repeated(10**12)),
        message(embedding=repeated(-1)),
        message(embedding=tensor([[0.5]], tf.float64)),
        message(embedding=tensor([[1]], tf.int32)),
        message(embedding=tensor([[b"\xff"]])),
        message(embedding=tensor([[np.nan]], tf.float32)),
        message(embedding=tensor([0.5])),
        message(embedding=tensor(0.5)),
        message(embedding=tensor([[0.5], [0.5]])),
        message(embedding=tensor(np.empty([1, 0], np.float32))),
        message(embedding=tensor_pb2.TensorProto(dtype=20)),
        message(embedding=tensor_pb2.TensorProto(dtype=999)),
        message(other=tensor([[0.5]])),
        MATCHES_MESSAGE,
    ],
    ids=lambda said: f"{len(said)} bytes",  # which are in any order
)
def test_malformed_messages_are_a_sentence(ask_grpc, said):
    found = ask_grpc("embed", Predict=said)
    assert isinstance(found, str), found


def test_ids_that_are_no_text_are_a_sentence(ask_grpc):
    said = message(
        ids=tensor([[b"\xff", b"b"]]), cameras=tensor([["1", "2"]]), scores=tensor([[0.5, 0.25]])
    )
    assert "UnicodeDecodeError" in ask_grpc("identify", Predict=said)


def test_a_message_without_end_is_refused_at_a_stated_size(ask_grpc):
    said = message(embedding=tensor(np.zeros([1, MOST_BYTES // 4], np.float32)))
    assert f"vs. {MOST_BYTES}" in ask_grpc("embed", Predict=said)


def test_mutated_messages(ask_grpc):
    random = np.random.default_rng(SEED)
    good = metadata_message()
    for number in range(MUTATIONS):
        for action, said in (("embed", EMBEDDING_MESSAGE), ("identify", MATCHES_MESSAGE)):
            found = ask_grpc(action, GetModelMetadata=good, Predict=mutated(said, random))
            assert isinstance(found, str | np.ndarray | Matches), (SEED, number)
            check(found, action)
        check(
            ask_grpc("embed", GetModelMetadata=mutated(good, random), Predict=EMBEDDING_MESSAGE),
            "embed",
        )
