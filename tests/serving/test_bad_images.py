"""Bad images and an exported network: refused by either way of asking, and nobody else notices."""

import contextlib
import io
import struct
import threading
import zlib

import numpy as np
import pytest
from PIL import Image

from benchmarks.serving_hostile import KINDS, attack
from cmnas_tf.architecture import Architecture
from cmnas_tf.models.specification import Specification
from cmnas_tf.serving.call_error import CallError
from cmnas_tf.serving.client.remote_model import RemoteModel, Retries
from cmnas_tf.serving.export import export_saved_model
from cmnas_tf.training.trained import load_network
from tests.mutations import MUTATIONS, SEED, mutated
from tests.serving.conftest import local_server, tensorflow_serving
from tests.serving.networks import write_run

pytestmark = pytest.mark.slow

HEIGHT, WIDTH, PEOPLE = 32, 16, 4


def image(seed=0, height=HEIGHT, width=WIDTH):
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(noise)


def saved(picture, form="JPEG", **options):
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


def sized_png(width, height):
    """The header says this size, with a right checksum; the pixels are those of another."""
    png = bytearray(saved(image(), "PNG"))
    png[16:24] = struct.pack(">II", width, height)
    png[29:33] = struct.pack(">I", zlib.crc32(png[12:29]))
    return bytes(png)


def sized_jpeg(width, height):
    jpeg = bytearray(saved(image()))
    start = jpeg.index(b"\xff\xc0") + 5
    jpeg[start : start + 4] = struct.pack(">HH", height, width)
    return bytes(jpeg)


GOOD = saved(image(9))
DEEP = Image.fromarray(np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH))
FRAMES = {"save_all": True, "append_images": [image(1), image(2)]}
BAD_IMAGES = {
    "empty file": b"",
    "no image": b"not an image at all",
    "truncated JPEG": GOOD[: len(GOOD) // 2],
    "header of a JPEG": GOOD[:20],
    "truncated PNG": saved(image(), "PNG")[:200],
    "CMYK": saved(image().convert("CMYK")),
    "16 bits": saved(DEEP, "PNG"),
    "animated GIF": saved(image(), "GIF", **FRAMES),
    "animated PNG": saved(image(), "PNG", **FRAMES),
    "1x1": saved(image(0, 1, 1)),
    "1x1 PNG": saved(image(0, 1, 1), "PNG"),
    "20,000x20,000": sized_jpeg(20_000, 20_000),
    "20,000x20,000 PNG": sized_png(20_000, 20_000),
    "17 MiB": GOOD + bytes(17 * 2**20),
}


@pytest.fixture(scope="module")
def base(one_block_throughout, tmp_path_factory):
    """A tiny network, exported with a gallery of four people."""
    folder = tmp_path_factory.mktemp("network")
    architecture = Architecture.separate_until("layer1", "resnet18")
    specification = Specification(architecture, 5, HEIGHT, WIDTH, width_factor=0.125)
    for person in range(PEOPLE):
        path = folder / "gallery" / "visible" / "cam1" / f"p{person}" / "a.png"
        path.parent.mkdir(parents=True)
        path.write_bytes(saved(image(person), "PNG"))
    model = load_network(write_run(folder, specification))
    export_saved_model(model, folder / "models", gallery=folder / "gallery", progress=False)
    return folder / "models"


@pytest.mark.slow
def test_an_attack_is_answered_in_sentences(base):
    """``benchmarks.serving_hostile`` with a few requests of each kind; how long they take is not
    asked here."""
    found = attack(base, 4)
    assert [fault for fault in found["faults"] if not fault.endswith(" ms")] == []
    for way in ("gRPC", "REST"):
        answered = {kind: found["kinds"][f"{kind}, {way}"]["answered"] for kind in KINDS}
        assert answered["other shapes"] == 4
        assert answered["ranks and channels"] == answered["too many"] == 0


@pytest.fixture(scope="module", params=["local", "tensorflow_serving"])
def server(request, base):
    if request.param == "local":
        with local_server(base) as (_, endpoint):
            yield endpoint
    else:
        with tensorflow_serving(base) as endpoint:
            yield endpoint


@pytest.fixture(params=["grpc", "rest"])
def model(request, server):
    with opened(server, request.param) as found:
        yield found


@contextlib.contextmanager
def opened(server, transport):
    with server.open(transport) as way:
        yield RemoteModel(way, Retries(0, 0.0, 120.0, np.random.default_rng(0)))


@contextlib.contextmanager
def asking_beside(server):
    """Another client, whose every answer must be the same."""
    answers, stop = [], threading.Event()

    def ask():
        with opened(server, "grpc") as found:
            while not stop.is_set() or not answers:
                answers.append(found.embed([GOOD, GOOD], ["visible", "infrared"]))

    beside = threading.Thread(target=ask)
    beside.start()
    try:
        yield
    finally:
        stop.set()
        beside.join()
    np.testing.assert_allclose(answers, np.broadcast_to(answers[0], np.shape(answers)), atol=1e-6)


def refused(ask):
    with pytest.raises(CallError) as raised:
        ask()
    assert raised.value.code == "INVALID_ARGUMENT", raised.value
    assert len(str(raised.value).split()) > 3
    return str(raised.value)


def test_bad_images_are_refused_and_others_are_answered(server, model):
    with asking_beside(server):
        for data in BAD_IMAGES.values():
            refused(lambda data=data: model.embed([data], ["visible"]))
            refused(lambda data=data: model.embed([GOOD, data], ["visible", "infrared"]))
            refused(lambda data=data: model.identify([data], ["visible"], [""], 1))


def test_other_input_that_is_refused(model):
    assert "empty" in refused(lambda: model.embed([], ["visible"]))
    assert "modality" in refused(lambda: model.embed([GOOD, GOOD], ["visible", "x-ray"]))
    for k in (0, -1, PEOPLE + 1):
        assert "k must be" in refused(lambda k=k: model.identify([GOOD], ["visible"], [""], k))
    assert model.identify([GOOD], ["visible"], [""], PEOPLE).ids.shape == (1, PEOPLE)


def test_people_of_the_gallery_are_found(model):
    files = [saved(image(person), "PNG") for person in range(PEOPLE)]
    found = model.identify(files, ["visible"] * PEOPLE, [""] * PEOPLE, 2)
    assert found.ids[:, 0].tolist() == [f"p{person}" for person in range(PEOPLE)]
    np.testing.assert_allclose(found.scores[:, 0], 1, atol=1e-5)


def test_mutated_images(server):
    print(f"CMNAS_TF_MUTATION_SEED={SEED}")  # shown by pytest if this fails
    random = np.random.default_rng(SEED)
    outcomes = set()
    with asking_beside(server), opened(server, "grpc") as model:
        for _ in range(MUTATIONS):
            try:
                embedding = model.embed([mutated(GOOD, random)], ["visible"])
                np.testing.assert_allclose(np.linalg.norm(embedding), 1, atol=1e-5)
                outcomes.add("embedded")
            except CallError as error:
                assert error.code == "INVALID_ARGUMENT", error
                outcomes.add("refused")
    assert outcomes == {"embedded", "refused"}
