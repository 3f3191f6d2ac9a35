"""What a version lets through, and that a look at it beforehand sees what is wrong with it."""

import json
import lzma
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from cmnas_tf.architecture import Architecture
from cmnas_tf.commands import command_line, export
from cmnas_tf.errors import BadInput
from cmnas_tf.models.specification import Specification
from cmnas_tf.serving.build_gallery import network_digest
from cmnas_tf.serving.client.remote_model import RemoteModel, Retries
from cmnas_tf.serving.entries import Entry
from cmnas_tf.serving.export import export_saved_model
from cmnas_tf.serving.exported_model import BESIDE, WARMUP, ServedForm
from cmnas_tf.serving.gallery import Gallery
from cmnas_tf.serving.version_check import check_version
from cmnas_tf.training.trained import load_network
from tests.serving import stand_in
from tests.serving.conftest import local_server
from tests.serving.networks import write_run

HEIGHT, WIDTH, PEOPLE = 32, 16, 4
SIGNATURES = ("embed", "embed_visible", "embed_infrared_pixels", "identify")
FORM = ServedForm(signatures=SIGNATURES, max_images=33, max_pixels=2**24)
PNG = stand_in.encoded(stand_in.pictures(1)[0])


@pytest.fixture(scope="module")
def model(one_block_throughout, tmp_path_factory):
    specification = Specification(
        Architecture.shared("resnet18"), 5, HEIGHT, WIDTH, width_factor=0.125
    )
    return load_network(write_run(tmp_path_factory.mktemp("run"), specification))


@pytest.fixture(scope="module")
def whole(model, tmp_path_factory):
    """An exported version of four signatures; not to be changed."""
    rows = np.eye(PEOPLE, model.embedding_size, dtype=np.float32)
    entries = [Entry(f"{n}.png", f"p{n}", str(n), "visible") for n in range(PEOPLE)]
    gallery = Gallery.of(network_digest(model), entries, rows)
    base = tmp_path_factory.mktemp("models")
    return export_saved_model(model, base, form=FORM, gallery=gallery, progress=False)


@pytest.fixture(scope="module")
def call(whole):
    """Asks a signature as TensorFlow Serving does: nothing is looked at before the graph."""
    loaded = tf.saved_model.load(str(whole)).signatures

    def asked(name, **given):
        return loaded[name](**{key: tf.constant(value) for key, value in given.items()})

    return asked


def pixels(*shape):
    return np.zeros(shape, np.uint8)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("embed_infrared_pixels", {"pixels": pixels(64, 32, 3)}, r"pixels must .*\[64 32 3\]"),
        ("embed_infrared_pixels", {"pixels": pixels(2, 64, 32, 1)}, r"pixels must .*\[2 64 32 1\]"),
        (
            "embed_infrared_pixels",
            {"pixels": np.uint8(3)},
            r"pixels must .* has\] \[\]",
        ),
        ("embed_infrared_pixels", {"pixels": pixels(0, 32, 16, 3)}, "batch is empty"),
        ("embed_infrared_pixels", {"pixels": pixels(34, 32, 16, 3)}, r"at most 33 im.*\[34\]"),
        ("embed_visible", {"image_bytes": PNG}, r"image_bytes must have the shape .*\[\]"),
        ("embed_visible", {"image_bytes": [[PNG]]}, r"image_bytes must .*\[1 1\]"),
        ("embed_visible", {"image_bytes": [PNG] * 5000}, r"at most 33 images.*\[5000\]"),
        ("embed", {"image_bytes": [PNG], "modality": "visible"}, r"modality must have .*\[\]"),
        ("embed", {"image_bytes": [PNG], "modality": ["x" * 99]}, r"\[0\] \[x{40}\]"),
    ],
)
def test_the_graph_itself_refuses(call, name, given, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        call(name, **given)


def identify(call, cameras, k):
    count = len(k)
    given = {"image_bytes": [PNG] * count, "modality": ["visible"] * count, "camera": cameras}
    found = call("identify", **given, k=np.array(k, np.int32))
    return {name: tensor.numpy() for name, tensor in found.items()}


def test_each_row_has_its_own_k(call):
    """What a row is answered does not depend on the others; padding stands behind it."""
    found = identify(call, ["", "1", ""], [1, 3, 2])
    assert found["count"].tolist() == [1, 3, 2]
    assert found["ids"].shape == found["cameras"].shape == found["scores"].shape == (3, 3)
    for row, (camera, k) in enumerate((("", 1), ("1", 3), ("", 2))):
        alone = identify(call, [camera], [k])
        for name in ("ids", "cameras", "scores"):
            np.testing.assert_array_equal(found[name][row, :k], alone[name][0])
        assert found["ids"][row, k:].tolist() == [b""] * (3 - k)
        assert found["cameras"][row, k:].tolist() == [b""] * (3 - k)
        assert found["scores"][row, k:].tolist() == [0] * (3 - k)


def test_a_wrong_k_is_told_with_its_row(call):
    """Without camera 1 there are three entries."""
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"k must be 1 .*\[1\] \[4\] \[3\]"):
        identify(call, ["", "1"], [4, 4])


def test_only_what_was_chosen_is_exported(whole, model):
    loaded = tf.saved_model.load(str(whole)).signatures
    card = json.loads((whole / BESIDE / "model_card.json").read_text())
    assert set(loaded) == set(card["signatures"]) == set(SIGNATURES)
    assert (card["served"]["max_images"], card["served"]["max_pixels"]) == (33, 2**24)
    form = ServedForm(signatures=("embed", "identify"))
    with pytest.raises(BadInput, match=r"^signatures=identify cannot.*choose among embed_visible"):
        export_saved_model(model, whole.parent, form=form, progress=False)
    assert [one.name for one in whole.parent.iterdir()] == ["1"]


def checked(*flags):
    export.main(command_line.read(export.Export, ["export", "--check", *flags]))


def test_a_whole_version_is_safe_to_roll_out(whole, capsys):
    checked(f"--export_dir={whole.parent}")
    shown = capsys.readouterr().out
    for name in SIGNATURES:
        (line,) = (line.split() for line in shown.splitlines() if line.startswith(f"{name} "))
        once, often, _ = map(float, line[1:])
        assert once > 0 and often > 0
    assert "limits of a request kept: 33 images, 16777216 pixels" in shown
    assert shown.endswith("safe to roll out\n")
    with pytest.raises(BadInput, match=r"^export_dir=.* has no version 7; there is 1\."):
        checked(f"--export_dir={whole.parent}", "--version=7")
    with pytest.raises(BadInput, match="there is none"):
        checked(f"--export_dir={whole}")


def card(folder, **served):
    file = folder / BESIDE / "model_card.json"
    content = json.loads(file.read_text())
    content["served"] |= served
    content["served"] = {key: value for key, value in content["served"].items() if value}
    file.write_text(json.dumps(content))


def logs(folder, change):
    """Writes the recorded requests anew, without those that ``change`` gives nothing for."""
    file = str(folder / BESIDE / WARMUP)
    records = [PredictionLog.FromString(r) for r in tf.compat.v1.io.tf_record_iterator(file)]
    with tf.io.TFRecordWriter(file) as written:
        for record in filter(None, map(change, records)):
            written.write(record.SerializeToString())


def other_answer(record):
    for tensor in record.predict_log.response.outputs.values():
        if tensor.dtype == tf.float32.as_datatype_enum:
            array = tf.make_ndarray(tensor) + np.float32(1e-3)
            tensor.CopyFrom(tf.make_tensor_proto(array))
    return record


def flip(folder):
    (data,) = folder.glob("variables/*.data*")
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 255
    data.write_bytes(content)


DAMAGES = {
    "half of it": (lambda f: [shutil.rmtree(f / "variables"), shutil.rmtree(f / BESIDE)], r"\w"),
    "no variables": (lambda f: shutil.rmtree(f / "variables"), r"\w"),
    "a flipped byte": (flip, "[Cc]hecksum"),
    "no graph": (lambda f: (f / "saved_model.pb").unlink(), "saved_model"),
    "nothing beside": (lambda f: shutil.rmtree(f / BESIDE), "model_card.json"),
    "no recorded requests": (lambda f: (f / BESIDE / WARMUP).unlink(), "to warm it up"),
    "not all recorded": (
        lambda f: logs(f, lambda r: "pixels" in r.predict_log.request.inputs and r),
        "signature embed has no recorded request",
    ),
    "other answers": (lambda f: logs(f, other_answer), r"differ by 1\.0e-03 from those recorded"),
    "no limits": (lambda f: card(f, max_images=None), "max_images is missing.* Export it again"),
    "limits that are not kept": (lambda f: card(f, max_pixels=2**23), "refuse more than at most 8"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_not_safe(whole, tmp_path, damage):
    """For instance a version that was copied by hand, or one of an earlier release."""
    change, message = DAMAGES[damage]
    shutil.copytree(whole, tmp_path / "5")
    change(tmp_path / "5")
    with pytest.raises(BadInput, match=rf"^{tmp_path / '5'} is not safe to roll out: .*{message}"):
        check_version(str(tmp_path))


EARLIER = Path(__file__).parents[1] / "earlier_version" / "export"


def test_a_version_of_an_earlier_release_is_served_and_says_what_it_lacks(tmp_path):
    shutil.copytree(EARLIER / "1", tmp_path / "1")
    graph = tmp_path / "1" / "saved_model.pb"
    graph.write_bytes(lzma.decompress(graph.with_suffix(".pb.xz").read_bytes()))
    with local_server(tmp_path) as (_, endpoint), endpoint.open("grpc") as opened:
        asked = RemoteModel(opened, Retries(0, 0.0, 60.0, np.random.default_rng(0)))
        assert asked.embed([PNG, PNG], ["visible", "infrared"]).shape[0] == 2
    with pytest.raises(BadInput, match=r"not safe to roll out: .*max_images is missing"):
        check_version(str(tmp_path))
