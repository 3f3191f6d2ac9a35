"""What a client meets on a server: the local one always, TensorFlow Serving wherever it is."""

import base64
import contextlib
import io
import json
import re
import socket
import threading

import grpc
import numpy as np
import pytest
from PIL import Image
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from cmnas_tf.commands import client as client_command
from cmnas_tf.commands import command_line
from cmnas_tf.errors import BadInput
from cmnas_tf.serving.call_error import CallError
from cmnas_tf.serving.client.asking import Request, ask
from cmnas_tf.serving.client.remote_model import RemoteModel, Retries
from cmnas_tf.serving.client.server import Server
from cmnas_tf.serving.development_server.served_model import ServedModel
from tests.mutations import MUTATIONS, SEED, mutated
from tests.serving import stand_in
from tests.serving.conftest import local_server, tensorflow_serving
from tests.serving.stand_in import PEOPLE

both = pytest.mark.parametrize("transport", ["grpc", "rest"])


@pytest.fixture(
    scope="module",
    params=["local", pytest.param("tensorflow_serving", marks=pytest.mark.slow)],
)
def server(request, models, tmp_path_factory):
    """Serves version 1 of the stand-in."""
    base = tmp_path_factory.mktemp("base")
    (base / "1").symlink_to(models / "1")
    if request.param == "local":
        with local_server(base) as (_, endpoint):
            yield endpoint
    else:
        base.chmod(0o755)
        (base / "1").unlink()
        stand_in.write(base, 1, stand_in.pictures(PEOPLE))
        with tensorflow_serving(base) as endpoint:
            yield endpoint


@pytest.fixture
def model(server, transport):
    with server.open(transport) as opened:
        yield RemoteModel(opened, Retries(0, 0.0, 60.0, np.random.default_rng(0)))


@pytest.fixture
def folder(tmp_path):
    """Infrared pictures of p1 and p4, who are in the gallery in visible light."""
    people = stand_in.pictures(PEOPLE)
    for number in (1, 4):
        path = tmp_path / "images" / "infrared" / f"cam{number}" / f"p{number}" / "a.png"
        path.parent.mkdir(parents=True)
        path.write_bytes(stand_in.encoded(people[number]))
    return tmp_path / "images"


def files(pixels):
    return [stand_in.encoded(image) for image in pixels]


def client(server, transport, *flags):
    """What ``cmnas client`` prints, or that it refuses in the words of the command line."""
    return run(*flags, f"--server={getattr(server, transport)}", f"--transport={transport}")


def run(*flags):
    kind, printed = client_command.Client, io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            client_command.main(command_line.read(kind, ["client", *flags, "--noprogress"]))
    except BadInput as error:
        raise BadInput(command_line.in_flags(str(error), kind.options())) from error
    return printed.getvalue()


@both
def test_what_the_model_can_be_asked(model):
    assert set(model.signatures) == {
        "embed",
        "embed_visible",
        "embed_infrared",
        "embed_visible_pixels",
        "embed_infrared_pixels",
        "identify",
        "serving_default",
    }
    assert set(model.signatures["identify"]) == {"image_bytes", "modality", "camera", "k"}


@both
@pytest.mark.parametrize("modalities", ["visible infrared visible", "infrared infrared infrared"])
def test_embeddings(model, modalities):
    """One batch, whatever the modalities: the pictures' embeddings as NumPy has them."""
    pixels, modalities = stand_in.pictures(3, seed=5), modalities.split()
    found = model.embed(files(pixels), modalities)
    wanted = [
        stand_in.embeddings(image[None], modality)[0]
        for image, modality in zip(pixels, modalities, strict=True)
    ]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)
    assert found.dtype == np.float32


@both
def test_identities(model):
    """The gallery's own pictures find themselves with score 1, and without their camera others."""
    pixels = stand_in.pictures(PEOPLE)
    gallery = stand_in.embeddings(pixels, "visible")
    asked = files(pixels[:2]), ["visible"] * 2
    found = model.identify(*asked, ["", "1"], k=2)
    scores = gallery[:2] @ gallery.T
    scores[1, 1] = -1
    order = np.argsort(-scores, axis=1)[:, :2]
    assert found.ids.tolist() == [[f"p{person}" for person in row] for row in order]
    assert found.cameras.tolist() == [[str(person) for person in row] for row in order]
    np.testing.assert_allclose(found.scores, np.take_along_axis(scores, order, 1), atol=1e-6)
    assert found.ids[0, 0] == "p0" and found.ids[1, 0] != "p1"
    np.testing.assert_allclose(found.scores[0, 0], 1, atol=1e-6)


@both
@pytest.mark.parametrize(
    ("signature", "inputs", "message"),
    [
        ("embed_visible", {"image_bytes": [b"no image"]}, "image"),
        ("embed_visible", {"image_bytes": [stand_in.encoded(stand_in.pictures(1)[0])[:60]]}, r"\w"),
        ("embed_visible", {"image_bytes": []}, "at least one image"),
        ("embed_visible", {}, r"\w"),
        ("embed_visible", {"pixels": np.zeros((1, 8, 8, 3), np.uint8)}, r"\w"),
        ("embed_visible_pixels", {"pixels": np.zeros((1, 8, 8), np.uint8)}, r"\w"),
        ("embed_visible_pixels", {"pixels": np.zeros((1, 8, 8, 3), np.float32) + 0.5}, r"\w"),
        ("no_such_signature", {"image_bytes": [b""]}, "signature"),
        ("embed", {"image_bytes": files(stand_in.pictures(1)), "modality": [b"x-ray"]}, "modality"),
    ],
    ids=["no image", "cut off", "empty", "missing", "unknown", "rank", "dtype", "name", "modality"],
)
def test_a_bad_request_is_refused_with_a_sentence(server, transport, signature, inputs, message):
    """And the server answers the next one."""
    inputs = {
        name: value if isinstance(value, np.ndarray) else np.array(value, dtype=object)
        for name, value in inputs.items()
    }
    with server.open(transport) as opened:
        with pytest.raises(CallError, match=message) as raised:
            opened.predict(signature, inputs, 60.0)
        # REST has one status for both.
        unknown = signature == "no_such_signature" and transport == "grpc"
        assert raised.value.code == ("FAILED_PRECONDITION" if unknown else "INVALID_ARGUMENT")
        assert 10 < len(str(raised.value)) < 2001
        assert "Traceback" not in str(raised.value)
        assert not re.search(r"\{\{|\[\[", raised.value.sentence)
        good = {"pixels": stand_in.pictures(1)}
        opened.predict("embed_visible_pixels", good, 60.0)


@both
@pytest.mark.parametrize(("k", "camera"), [(0, ""), (PEOPLE + 1, ""), (-1, "")])
def test_a_number_of_matches_that_there_are_not(model, k, camera):
    with pytest.raises(CallError, match="k") as raised:
        model.identify(files(stand_in.pictures(1)), ["visible"], [camera], k)
    assert raised.value.code == "INVALID_ARGUMENT"


@both
def test_a_model_or_version_that_is_not_there(server, transport):
    for name, version in (("other", 0), ("reid", 77)):
        with (
            server.open(transport, name, version) as opened,
            pytest.raises(CallError) as raised,
        ):
            opened.signatures(60.0)
        assert raised.value.code == "NOT_FOUND"
    with server.open(transport, "reid", 1) as opened:
        assert "embed" in opened.signatures(60.0)


def test_both_formats_of_rest(server):
    """By rows and by columns the same embeddings; one entry is enough for a single image."""
    import requests

    (file,) = files(stand_in.pictures(1))
    entry = {"b64": base64.b64encode(file).decode()}
    url = f"http://{server.rest}/v1/models/reid"
    bodies = [{"instances": [entry]}, {"instances": [{"image_bytes": entry}]}, {"inputs": [entry]}]
    answers = [
        requests.post(f"{url}:predict", json={"signature_name": "embed_infrared", **body})
        for body in bodies
    ]
    rows = [(answer.json().get("predictions") or answer.json()["outputs"]) for answer in answers]
    wanted = stand_in.embeddings(stand_in.pictures(1), "infrared")
    for row in rows:
        np.testing.assert_allclose(row, wanted, atol=1e-6)
    status = requests.get(url).json()["model_version_status"]
    assert status == [
        {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    ]
    metadata = requests.get(f"{url}/metadata").json()
    assert metadata["model_spec"]["name"] == "reid"
    tensor = metadata["metadata"]["signature_def"]["signature_def"]["embed"]["outputs"]["embedding"]
    assert tensor["dtype"] == "DT_FLOAT"
    assert [d["size"] for d in tensor["tensor_shape"]["dim"]] == ["-1", "8"]


@pytest.mark.slow
@both
def test_a_request_of_200_megabytes(server, transport):
    """Is answered with INVALID_ARGUMENT or 400, and those beside it are answered as ever."""
    huge = np.array([b"\xff\xd8" + bytes(200 * 10**6)], dtype=object)
    with (
        _asking_beside(server),
        server.open(transport) as opened,
        pytest.raises(CallError, match=r"[a-z]{3}") as raised,
    ):
        opened.predict("embed_visible", {"image_bytes": huge}, 60.0)
    assert raised.value.code == "INVALID_ARGUMENT"


def test_mutated_images(server):
    """Bytes of a JPEG changed, cut, doubled or zeroed: an embedding or a refusal, nothing else."""
    print(f"CMNAS_TF_MUTATION_SEED={SEED}")  # shown by pytest if this fails
    random = np.random.default_rng(SEED)
    noise = random.integers(0, 256, (48, 24, 3), np.uint8)
    jpeg = stand_in.encoded(noise, "jpeg")
    outcomes = []
    with _asking_beside(server), server.open("grpc") as opened:
        for _ in range(MUTATIONS):
            images = np.array([mutated(jpeg, random)], dtype=object)
            try:
                answer = opened.predict("embed_visible", {"image_bytes": images}, 60.0)
                np.testing.assert_allclose(np.linalg.norm(answer["embedding"]), 1, atol=1e-5)
                outcomes.append("embedded")
            except CallError as error:
                assert error.code == "INVALID_ARGUMENT", error
                outcomes.append("refused")
    assert {"embedded", "refused"} == set(outcomes)


@contextlib.contextmanager
def _asking_beside(server):
    """Another client, who gets every answer, and the right one."""
    failures, stop = [], threading.Event()
    beside = threading.Thread(target=_keep_asking, args=(server, stop, failures))
    beside.start()
    try:
        yield
    finally:
        stop.set()
        beside.join()
    assert failures == []


def _keep_asking(server, stop, failures):
    pixels = stand_in.pictures(2, seed=9)
    wanted = stand_in.embeddings(pixels, "visible")
    with server.open("grpc") as opened:
        while not stop.is_set():
            try:
                found = opened.predict("embed_visible_pixels", {"pixels": pixels}, 60.0)
                if np.abs(found["embedding"] - wanted).max() > 1e-6:
                    failures.append("another embedding")
            except CallError as error:
                failures.append(f"{error.code}: {error}")


@both
def test_the_command_embeds_a_folder(server, transport, folder, tmp_path):
    archive = tmp_path / "out" / "embeddings.npz"
    flags = ["embed", f"--images={folder}", f"--embeddings={archive}", "--batch_size=1"]
    printed = client(server, transport, *flags)
    pixels = stand_in.pictures(PEOPLE)[[1, 4]]
    wanted = stand_in.embeddings(pixels, "infrared")
    with np.load(archive) as stored:
        np.testing.assert_allclose(stored["embeddings"], wanted, atol=1e-6)
        assert stored["ids"].tolist() == ["p1", "p4"]
        assert stored["cameras"].tolist() == ["1", "4"]
    assert f"{wanted[0, 0]:+.4f}" in printed
    rows = json.loads(client(server, transport, *flags, "--format=json"))
    assert [row["id"] for row in rows] == ["p1", "p4"]
    np.testing.assert_allclose([row["embedding"] for row in rows], wanted, atol=1e-6)


@both
def test_the_command_identifies_a_folder(server, transport, folder):
    """As if visible, each finds itself first; without its own camera it cannot."""
    flags = ["identify", f"--images={folder}", "--modality=visible", "--k=2"]
    printed = client(server, transport, *flags)
    assert "first match right: 2 of 2" in printed
    assert "1.0000  right" in printed
    flags += ["--other_cameras_only", "--format=json"]
    rows = json.loads(client(server, transport, *flags))
    for row, person in zip(rows, ("p1", "p4"), strict=True):
        assert row["id"] == person
        assert person not in [match["id"] for match in row["matches"]]
        assert len(row["matches"]) == 2


@pytest.fixture
def gallery(tmp_path):
    return stand_in.write_gallery(tmp_path)


def test_a_search_in_an_index_beside_the_client(server, folder, gallery, tmp_path):
    """An exact one: it finds what the server finds in its gallery."""
    pytest.importorskip("faiss")
    from cmnas_tf.serving.faiss_index import FaissIndex

    FaissIndex.of(gallery, "flat").save(tmp_path / "index")
    flags = ["identify", f"--images={folder}", "--k=3", "--other_cameras_only", "--format=json"]
    there = client(server, "grpc", *flags)
    for flag in (f"--search_in={tmp_path / 'index'}", f"--faiss_index={tmp_path / 'index'}"):
        assert_equal(client(server, "grpc", *flags, flag), there)
    assert_equal(client(server, "grpc", *flags, f"--search_in={tmp_path / 'gallery.npz'}"), there)


def test_a_search_in_a_store_beside_the_client(server, folder, gallery, tmp_path):
    """Of all entries, and of those that are chosen; the picture takes it as the gallery."""
    pytest.importorskip("lancedb")
    from cmnas_tf.serving.store import Store

    path, picture = tmp_path / "gallery.lance", tmp_path / "matches.png"
    store = Store.create(path, gallery.network, gallery.embeddings.shape[1])
    store.change(gallery)
    flags = ["identify", f"--images={folder}", "--k=2", "--other_cameras_only", "--format=json"]
    there, here = client(server, "grpc", *flags), [*flags, f"--search_in={path}"]
    drawn = f"--picture={picture}", f"--gallery={path}", f"--gallery_dir={tmp_path}"
    assert_equal(client(server, "grpc", *here, *drawn), there)
    assert picture.exists()
    for row in json.loads(client(server, "grpc", *here, "--cameras=0,2", "--since=2026-01-01")):
        assert {match["camera"] for match in row["matches"]} == {"0", "2"}
    for more, message in (
        (["--until=2026-01-01"], r"--k=2 must be 1 to 0"),
        (["--since=noon"], r"--since=noon is no time"),
    ):
        with pytest.raises(BadInput, match=message):
            client(server, "grpc", *here, *more)
    with pytest.raises(BadInput, match=r"--cameras, --since .* give it as --search_in"):
        client(server, "grpc", *flags, "--cameras=0")


def assert_equal(here, there):
    """Two answers about the same images are the same, but for the last bits of scores."""
    for found, wanted in zip(json.loads(here), json.loads(there), strict=True):
        scores = [[match.pop("score") for match in row["matches"]] for row in (found, wanted)]
        np.testing.assert_allclose(*scores, atol=1e-6)
        assert found == wanted


def test_the_command_draws_matches(server, folder, gallery, tmp_path):
    picture = tmp_path / "matches.png"
    flags = ["identify", f"--images={folder}", "--modality=visible", "--k=3"]
    flags += [f"--picture={picture}", f"--gallery={tmp_path / 'gallery.npz'}"]
    client(server, "grpc", *flags, f"--gallery_dir={tmp_path}")
    pixels = np.asarray(Image.open(picture))
    people = stand_in.pictures(PEOPLE)
    for person in (1, 4):  # the query, and again as its own first match; resizing blurs the middle
        colour = people[person][0, 0]
        assert (pixels == colour).all(axis=2).sum() > 2 * 96 * 50
    with pytest.raises(BadInput, match=r"none/\d\.png, which cannot be read.*--gallery_dir"):
        client(server, "grpc", *flags, f"--gallery_dir={tmp_path / 'none'}")


@both
def test_a_bad_image_of_a_batch_is_named(server, transport, folder):
    bad = folder / "infrared" / "cam4" / "p4" / "b.jpg"
    bad.write_bytes(b"\xff\xd8\xff but no JPEG")
    with pytest.raises(BadInput, match=rf"refused {bad}: .*Replace or remove it"):
        client(server, transport, "embed", f"--images={folder}")


@both
def test_what_the_command_cannot_be_asked(server, transport, folder):
    images = f"--images={folder}"
    for flags, message in (
        (["embed", images, "--model_name=other"], r"does not serve --model_name=other"),
        (["embed", images, "--version=77"], r"does not serve --model_name=reid --version=77"),
        (["embed", images, "--version_label=new"], r"does not serve .* --version_label=new: .*new"),
        (["embed", images, "--version=1", "--version_label=a"], r"both say .*Give one of them"),
        (["embed", images, "--search_in=x"], r"--search_in is about matches"),
        (["embed", images, "--picture=x.png"], r"--picture is about matches"),
        (["identify", images, "--picture=x.png"], r"give its file as --gallery"),
        (["identify", images, "--k=99"], r"refused .*a\.png.*fewer matches with --k"),
        (["embed", "--images=/none"], r"--images='/none' is no image"),
    ):
        with pytest.raises(BadInput, match=message):
            client(server, transport, *flags)


def test_a_model_without_a_gallery(models, folder):
    with local_server(models) as (_, endpoint):  # version 2
        for transport in ("grpc", "rest"):
            with pytest.raises(BadInput, match=r"no signature identify.*exported with --gallery"):
                client(endpoint, transport, "identify", f"--images={folder}")


@both
def test_a_version_by_its_label(models, folder, transport, monkeypatch):
    """The local server gives no labels; the real one answers with what the label stands for."""
    asked = []

    def labelled(self, spec):
        asked.append(spec.version_label)
        return {"canary": 2}[spec.version_label]

    monkeypatch.setattr(ServedModel, "_number", labelled)
    with local_server(models) as (_, endpoint):
        flags = [f"--images={folder}", "--version_label=canary"]
        assert client(endpoint, transport, "embed", *flags)
    assert asked and set(asked) == {"canary"}


@both
def test_nobody_listens(folder, transport):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    flags = [f"--images={folder}", f"--server=127.0.0.1:{port}", f"--transport={transport}"]
    flags += ["--retries=1", "--backoff_seconds=0"]
    found = rf"No model server answers at 127\.0\.0\.1:{port}.*Start one, .* cmnas local_server"
    with pytest.raises(BadInput, match=found):
        run("embed", *flags)


@both
def test_somebody_listens_who_never_answers(folder, transport):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        flags = [f"--images={folder}", f"--server=127.0.0.1:{silent.getsockname()[1]}"]
        flags += [f"--transport={transport}", "--deadline_seconds=0.2"]
        with pytest.raises(BadInput, match=r"did not answer within --deadline_seconds=0\.2"):
            run("embed", *flags)


@pytest.mark.parametrize(
    "address", ["here", "here:", ":8500", "here:99999", "here:x", "http://here:8501"]
)
def test_an_address_that_is_none(folder, address):
    with pytest.raises(BadInput, match="must be HOST:PORT"):
        ask(Request(images=str(folder)), Server(server=address))


def test_bytes_that_are_no_message(server):
    """gRPC hands them to the server, whose answer must not be "our fault"."""
    with grpc.insecure_channel(server.grpc) as channel:
        call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        with pytest.raises(grpc.RpcError) as raised:
            call(b"\xff\xff\xff\xff", timeout=60)
    assert raised.value.code() in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL}


def test_a_tensor_that_claims_to_be_larger_than_it_is(server):
    """A few bytes must not make the server take 10^12."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "reid"
    request.model_spec.signature_name = "embed_visible_pixels"
    tensor = request.inputs["pixels"]
    tensor.dtype = 4  # DT_UINT8
    for size in (10**6, 10**3, 10**3, 3):
        tensor.tensor_shape.dim.add(size=size)
    tensor.int_val.append(7)
    with grpc.insecure_channel(server.grpc) as channel, pytest.raises(grpc.RpcError) as raised:
        prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=60)
    assert raised.value.code() in {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }


def test_a_picture_is_an_image_of_eight_pixels():
    """What the oracle assumes of the stand-in's pictures: PNG gives them back."""
    pixels = stand_in.pictures(1)[0]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(files([pixels])[0]))), pixels)
