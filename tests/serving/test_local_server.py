"""What only the local server can be asked: how it starts, watches, stops, and reads HTTP."""

import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from benchmarks.serving_load import load
from cmnas_tf.errors import BadInput
from cmnas_tf.interrupt import SIGNALS
from cmnas_tf.serving.call_error import CallError
from cmnas_tf.serving.client.remote_model import RemoteModel, Retries
from cmnas_tf.serving.development_server import grpc_service
from cmnas_tf.serving.development_server.local_serving import LocalServing
from cmnas_tf.serving.development_server.rest_service import MOST_NESTED, MOST_VALUES, RestServer
from cmnas_tf.serving.development_server.served_model import ServedModel
from cmnas_tf.serving.development_server.server import LocalServer, serve_locally
from tests.serving import stand_in
from tests.serving.conftest import Endpoint, local_server

INITIAL = "__saved_model_init_op"
LOAD_SECONDS = float(os.environ.get("CMNAS_TF_LOAD_SECONDS", "10"))
# What TensorFlow 2.20 says of itself when it loads a model, whatever its level of logging.
GREETING = re.compile(
    rb"WARNING: All log messages before absl::Init|I0000 .*mlir_graph_optimization"
)


@pytest.fixture(scope="module")
def endpoint(models):
    with local_server(models) as (_, found):
        yield found


@contextlib.contextmanager
def connection(address):
    opened = http.client.HTTPConnection(address, timeout=60)
    with contextlib.closing(opened):
        yield opened


def answer(opened):
    response = opened.getresponse()
    return response.status, json.loads(response.read())


@pytest.mark.parametrize("base", ["", "none", "empty", "broken"])
def test_there_must_be_a_model(tmp_path, base):
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken" / "1").mkdir(parents=True)
    (tmp_path / "broken" / "1" / "saved_model.pb").write_bytes(b"\xff")
    path = str(tmp_path / base) if base else ""
    with pytest.raises(BadInput, match=r"^model_base_path=.*`export_saved_model`") as raised:
        serve_locally(LocalServing(model_base_path=path)).__enter__()
    assert ("cannot be loaded" in str(raised.value)) == (base == "broken")


@pytest.mark.parametrize("name", ["port", "rest_api_port"])
def test_a_port_that_is_taken(tmp_path, endpoint, name):
    taken = int((endpoint.grpc if name == "port" else endpoint.rest).split(":")[1])
    ports = LocalServing(**{"port": 0, "rest_api_port": 0, name: taken})
    with pytest.raises(BadInput, match=rf"\b{name}={taken}.* cannot be listened on"):
        LocalServer(ports, ServedModel(tmp_path, "reid", 1000))


def test_the_newest_version_is_served_and_shown(endpoint):
    with connection(endpoint.rest) as opened:
        opened.request("GET", "/v1/models/reid/versions/2")
        assert answer(opened)[1]["model_version_status"][0]["state"] == "AVAILABLE"
        opened.request("GET", "/v1/models/reid/metadata")
        assert answer(opened)[1]["model_spec"]["version"] == "2"
        opened.request("GET", "/v1/models/reid/versions/1")
        assert answer(opened) == (404, {"error": "Model 'reid' has no version 1."})
    with grpc.insecure_channel(endpoint.grpc) as channel:
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = "reid"
        status = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(request)
        (version,) = status.model_version_status
        assert (version.version, version.state, version.status.error_code) == (2, 30, 0)


def test_what_happens_is_told_while_it_watches(models, tmp_path):
    """Version 1 at first; then 2 comes, and a broken 3."""
    shutil.copytree(models / "1", tmp_path / "1")
    stop = threading.Event()
    with local_server(tmp_path) as (server, _):
        events = server.watch(stop, 0.01)
        assert next(events) == "version 1 available"
        shutil.copytree(models / "2", tmp_path / "aside")
        (tmp_path / "aside").rename(tmp_path / "2")
        assert sorted([next(events), next(events)]) == ["version 1 end", "version 2 available"]
        (tmp_path / "3").mkdir()
        (tmp_path / "3" / "saved_model.pb").write_bytes(b"\xff")
        assert next(events).startswith(f"version 3 end: {tmp_path / '3'} cannot be loaded")
        stop.set()
        assert list(events) == []


def test_a_body_that_is_too_large_is_not_waited_for(endpoint):
    """The answer is there before a single byte of the body was sent."""
    with connection(endpoint.rest) as opened:
        opened.putrequest("POST", "/v1/models/reid:predict")
        opened.putheader("Content-Length", str(200 * 10**6))
        opened.endheaders()
        status, said = answer(opened)
    assert status == 400
    assert "200,000,000 bytes, and at most 64,000,000" in said["error"]


@pytest.mark.parametrize(
    ("entry", "number", "said"),
    [
        (b"[],", MOST_NESTED, "5,000,000 lists, objects and quotation marks"),
        (b"{},", MOST_NESTED, "5,000,000 lists, objects and quotation marks"),
        (b'"",', MOST_NESTED // 2, "5,000,000 lists, objects and quotation marks"),
        (b"0,", MOST_VALUES + 1, "15,000,000 values"),
    ],
)
def test_a_body_that_unfolds_to_much_is_not_read(endpoint, entry, number, said):
    """Read, such a one of 63 MB was seen to take 4.3 GB; or two seconds, of numbers."""
    body = b'{"instances":[' + entry * number + b"[]]}"
    with connection(endpoint.rest) as opened:
        opened.request("POST", "/v1/models/reid:predict", body)
        status, answered = answer(opened)
    assert status == 400
    assert f"more than {said}" in answered["error"]


def test_a_body_of_unknown_size(endpoint):
    with connection(endpoint.rest) as opened:
        opened.putrequest("POST", "/v1/models/reid:predict")
        opened.endheaders()
        status, said = answer(opened)
    assert (status, said) == (400, {"error": "A request must say its size in Content-Length."})


INSIDE = b"GET /v1/models/inside HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: -1",
        b"Content-Length: many",
        b"Content-Length: " + b"9" * 30,
        b"Content-Length: 0\r\nContent-Length: %d" % len(INSIDE),
        b"Content-Length: %d\r\nTransfer-Encoding: chunked" % len(INSIDE),
        b"Content-Length : 0",
        b"Transfer-Encoding: identity",
        b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0" % (5 + len(INSIDE)),
        b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0",
    ],
)
@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_a_body_is_never_taken_for_the_next_request(endpoint, method, headers):
    """What two servers could read two ways is refused, and the connection closed."""
    host, port = endpoint.rest.split(":")
    path = b"/v1/models/reid" + (b":predict" if method == b"POST" else b"")
    with socket.create_connection((host, int(port)), timeout=60) as opened:
        opened.sendall(method + b" %s HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n" % (path, headers) + INSIDE)
        received = b"".join(iter(lambda: opened.recv(4096), b""))
    assert received.startswith(b"HTTP/1.1 4") or received.startswith(b"HTTP/1.1 501")
    assert received.count(b"HTTP/1.1") == 1 and b"inside" not in received


def test_the_body_of_a_question_without_one_is_passed_over(endpoint):
    with connection(endpoint.rest) as opened:
        for _ in range(2):
            opened.request("GET", "/v1/models/reid", body=INSIDE)
            assert answer(opened)[1]["model_version_status"][0]["state"] == "AVAILABLE"


def test_a_client_that_asks_first_is_told_before_it_sends(endpoint):
    """As curl does with large bodies: no "100 Continue" for one that is too large."""
    for size, first in ((10**9, b"HTTP/1.1 400"), (2, b"HTTP/1.1 100")):
        with connection(endpoint.rest) as opened:
            opened.putrequest("POST", "/v1/models/reid:predict")
            opened.putheader("Content-Length", str(size))
            opened.putheader("Expect", "100-continue")
            opened.endheaders()
            assert opened.sock.recv(12) == first


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("GET", "/", None, 404, "There is /v1/models/reid"),
        ("GET", "/v1/models/reid/versions/x", None, 404, "nothing at"),
        ("GET", "/v1/models/other", None, 404, "no model 'other'"),
        ("GET", "/v1/models/reid:predict", None, 400, "by POST"),
        ("POST", "/v1/models/reid/metadata", "{}", 400, "by GET"),
        ("POST", "/v1/models/reid:predict", "{", 400, "no JSON"),
        ("POST", "/v1/models/reid:predict", "[" * 100_000, 400, "no JSON"),
        ("POST", "/v1/models/reid:predict", b"\xff\xfe", 400, "no JSON"),
        ("POST", "/v1/models/reid:predict", "[]", 400, "JSON object"),
        ("POST", "/v1/models/reid:predict", "", 400, "no JSON"),
        ("POST", "/v1/models/reid:predict", '{"signature_name": 3}', 400, "no signature '3'"),
        ("POST", "/v1/models/reid/versions/7:predict", "{}", 404, "Version 7 is not served"),
        ("POST", "/v1/models/reid/labels/best:predict", "{}", 400, "labelled 'best'"),
        ("GET", "/v1/models/reid/labels/best", None, 400, "labelled 'best'"),
        ("POST", "/v1/models/reid:classify", "{}", 400, "no signature for :classify"),
        ("POST", "/v1/models/reid:regress", "{}", 400, "no signature for :regress"),
    ],
)
def test_requests_that_cannot_be_answered(endpoint, method, path, body, status, message):
    """The connection stays usable."""
    with connection(endpoint.rest) as opened:
        opened.request(method, path, body)
        found, said = answer(opened)
        assert found == status
        assert message in said["error"]
        opened.request("GET", "/v1/models/reid")
        assert answer(opened)[0] == 200


def test_outputs_that_are_chosen(endpoint):
    """gRPC's ``output_filter``, and the version that answered."""
    request = predict_pb2.PredictRequest(output_filter=["embedding"])
    request.model_spec.name, request.model_spec.signature_name = "reid", "embed_visible_pixels"
    request.inputs["pixels"].CopyFrom(tf.make_tensor_proto(stand_in.pictures(1)))
    with grpc.insecure_channel(endpoint.grpc) as channel:
        predict = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict
        found = predict(request)
        assert list(found.outputs) == ["embedding"]
        assert found.model_spec.version.value == 2
        spec = request.model_spec
        for change, message, code in (
            (lambda: request.output_filter.append("embedding"), "twice", "INVALID_ARGUMENT"),
            (lambda: request.output_filter.append("logits"), "called logits", "INVALID_ARGUMENT"),
            (lambda: setattr(spec, "signature_name", "x"), "no signature", "FAILED_PRECONDITION"),
            (lambda: setattr(spec, "signature_name", INITIAL), "no sign", "FAILED_PRECONDITION"),
            (lambda: setattr(spec, "version_label", "best"), "'best'", "INVALID_ARGUMENT"),
            (lambda: spec.Clear(), "names no model", "INVALID_ARGUMENT"),
        ):
            change()
            with pytest.raises(grpc.RpcError, match=message) as raised:
                predict(request)
            assert raised.value.code().name == code


def test_what_runs_at_the_start_is_listed_as_by_tensorflow_serving(endpoint):
    """Clients do not show it (test_client_and_server.py)."""
    with connection(endpoint.rest) as opened:
        opened.request("GET", "/v1/models/reid/metadata")
        listed = answer(opened)[1]["metadata"]["signature_def"]["signature_def"]
    with grpc.insecure_channel(endpoint.grpc) as channel:
        asked = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        asked.model_spec.name = "reid"
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        found = get_model_metadata_pb2.SignatureDefMap()
        stub.GetModelMetadata(asked).metadata["signature_def"].Unpack(found)
    assert set(listed) == set(found.signature_def) > {INITIAL}


def test_the_server_says_where_in_the_graph_and_the_client_does_not(endpoint):
    """As TensorFlow Serving: the message of a decoder, with names of nodes."""
    for transport in ("grpc", "rest"):
        with endpoint.open(transport) as opened, pytest.raises(CallError) as raised:
            images = {"image_bytes": np.array([b"\xff\xd8\xff"], object)}
            opened.predict("embed_visible", images, 60.0)
        assert "{{node " in str(raised.value) and "[[" in str(raised.value)
        assert re.fullmatch(r"[^\[{]*Invalid JPEG data[^\[{]*\.", raised.value.sentence)


class Flaky(ServedModel):
    """Refuses as often as it is told to, each time for another reason."""

    reasons: tuple[str, ...] = ()

    def using(self, asked):
        if self.reasons:
            code, *self.reasons = self.reasons
            raise CallError(code, "Come back later.")
        return super().using(asked)


@contextlib.contextmanager
def serving_as(kind, base):
    model = kind(base, "reid", 10**6)
    model.refresh()
    rest = RestServer(model, "127.0.0.1", 0)
    grpc_server, port = grpc_service.start(model, "127.0.0.1:0")
    yield model, Endpoint(Path(), f"127.0.0.1:{port}", f"127.0.0.1:{rest.port}")
    rest.stop(5.0)
    grpc_server.stop(5.0).wait()
    model.close()


@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_a_client_comes_back_and_only_when_that_may_help(models, transport):
    files = [stand_in.encoded(stand_in.pictures(1)[0])]
    with serving_as(Flaky, models) as (model, found), found.open(transport) as opened:
        asked = RemoteModel(opened, Retries(2, 0.0, 60.0, np.random.default_rng(0)))
        model.reasons = "UNAVAILABLE", "RESOURCE_EXHAUSTED"
        assert "embed" in asked.signatures
        model.reasons = "RESOURCE_EXHAUSTED", "UNAVAILABLE"
        assert asked.embed(files, ["visible"]).shape == (1, 8)
        for reasons in (("INVALID_ARGUMENT",), ("UNAVAILABLE",) * 3):
            model.reasons = reasons
            with pytest.raises(CallError, match="Come back later") as raised:
                asked.embed(files, ["visible"])
            assert raised.value.code == reasons[0]
            assert not model.reasons


@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_more_than_is_taken(tmp_path, transport):
    """No model is needed to say so."""
    images = {"image_bytes": np.array([bytes(2 * 10**6)], dtype=object)}
    with (
        serving_as(ServedModel, tmp_path) as (_, found),
        found.open(transport) as opened,
        pytest.raises(CallError, match=r"bytes, and at most 1,000,000 are taken\. Send") as raised,
    ):
        opened.predict("embed", images, 60.0)
    assert raised.value.code == "INVALID_ARGUMENT"


class Faulty(ServedModel):
    def status(self, asked):
        raise KeyError("a bug")


def test_a_fault_of_the_server_is_called_one(tmp_path, capfd):
    """And the connection stays usable."""
    server = RestServer(Faulty(tmp_path, "reid", 1000), "127.0.0.1", 0)
    with connection(f"127.0.0.1:{server.port}") as opened:
        for _ in range(2):
            opened.request("GET", "/v1/models/reid")
            assert answer(opened)[0] == 500
    server.stop(5.0)
    assert "KeyError: 'a bug'" in capfd.readouterr().err


class Hesitating(ServedModel):
    """Answers about its versions when it is told to."""

    def __init__(self, base):
        super().__init__(base, "reid", 1000)
        self.asked, self.may_answer = threading.Event(), threading.Event()

    def status(self, asked):
        self.asked.set()
        assert self.may_answer.wait(60)
        answer = get_model_status_pb2.GetModelStatusResponse()
        answer.model_version_status.add(version=5, state="AVAILABLE")
        return answer


@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_an_answer_that_is_under_way_is_given_before_the_end(tmp_path, transport):
    model, seen = Hesitating(tmp_path), []
    if transport == "rest":
        server = RestServer(model, "127.0.0.1", 0)
        stop = threading.Thread(target=server.stop, args=(60.0,))

        def ask():
            with connection(f"127.0.0.1:{server.port}") as opened:
                opened.request("GET", "/v1/models/reid")
                seen.append(answer(opened)[1]["model_version_status"][0]["version"])
    else:
        server, port = grpc_service.start(model, "127.0.0.1:0")
        stop = threading.Thread(target=lambda: server.stop(60.0).wait())

        def ask():
            request = get_model_status_pb2.GetModelStatusRequest()
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                found = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(request)
                seen.append(str(found.model_version_status[0].version))

    client = threading.Thread(target=ask)
    client.start()
    assert model.asked.wait(60)
    stop.start()
    assert stop.is_alive() and seen == []
    model.may_answer.set()
    for thread in (client, stop):
        thread.join(60)
        assert not thread.is_alive()
    assert seen == ["5"]


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS, ids=lambda n: n.name)
def test_the_command_serves_until_it_is_told_to_stop(models, number):
    command = [sys.executable, "-m", "export.local_server", f"--model_base_path={models}"]
    command += ["--port=0", "--rest_api_port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        lines = [process.stdout.readline().decode() for _ in range(3)]
        assert "for development and tests" in lines[0]
        rest = re.search(r"http://(\S+)(/v1/models/reid)\n", lines[1])
        assert lines[2] == "version 2 available\n"
        with connection(rest[1]) as opened:
            opened.request("GET", rest[2])
            assert answer(opened)[0] == 200
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, f"stopped by {number.name}\n".encode())
    assert not [line for line in err.splitlines() if not GREETING.match(line)]


@pytest.mark.slow
def test_under_load_and_while_versions_change_no_request_fails(models):
    """Eight clients, mixed signatures, three swaps; a tenth of the requests is bad, and refused.

    ``CMNAS_TF_LOAD_SECONDS`` says how long. ``benchmarks.serving_load`` is the same for ten
    minutes, which show more of the memory: here it may still grow by what two versions at a time
    take, and the stand-in's are small.
    """
    result = load(models, LOAD_SECONDS, clients=8, swaps=3, least=101)
    assert result["failures"] == []
    assert len(result["swaps"]) == 3
    asked = {name.split()[0] for name in result["signatures"]}
    wanted = {"embed", "embed_visible", "embed_infrared", "embed_visible_pixels", "refused"}
    assert asked >= wanted
    assert result["requests"] > 100
    memory = result["memory"]
    assert memory["late_megabytes"] < 1.2 * memory["early_megabytes"]
