"""A converted network gives embeddings like the network's, and says how alike and how good."""

import dataclasses
import json
import sys

import numpy as np
import pytest
from PIL import Image

from cmnas_tf.commands import command_line
from cmnas_tf.commands.export_onnx import ExportOnnx
from cmnas_tf.commands.export_openvino import ExportOpenvino
from cmnas_tf.commands.export_tflite import ExportTflite
from cmnas_tf.data import load_dataset
from cmnas_tf.errors import BadInput
from cmnas_tf.modality import MODALITIES
from cmnas_tf.serving import conversion
from cmnas_tf.serving.conversion import convert_network
from cmnas_tf.training.trained import load_network
from tests.serving.networks import small, write_run


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Two people seen by two cameras, in the folders of images of one's own; noise otherwise."""
    folder, random = tmp_path_factory.mktemp("people"), np.random.default_rng(0)
    for split, modality, camera in (
        ("query", "visible", 1),
        ("gallery", "infrared", 2),
        ("train", "visible", 1),
        ("train", "infrared", 2),
    ):
        for pid in (1, 2):
            pid += 10 * (split == "train")
            file = folder / split / modality / f"cam{camera}" / str(pid) / "a.png"
            file.parent.mkdir(parents=True)
            Image.fromarray(random.integers(0, 256, (32, 16, 3), np.uint8)).save(file)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"), small())


def convert(command, people, run, target, *flags):
    given = [f"--data_dir={people}", "--dataset=own_folders", f"--run_dir={run}"]
    given += [f"--export_dir={target}", *flags]
    sys.modules[command.__module__].main(command_line.read(command, ["", *given]))
    return json.loads((target / "measured.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("numbers", "least", "most_bytes"), [("float16", 0.9999, 0.56), ("int8", 0.9, 0.4)]
)
def test_tflite(numbers, least, most_bytes, people, run, tmp_path, capsys):
    """A float32 file would have 4 bytes for each of the 175,000 numbers of this network."""
    given = ExportTflite, people, run, tmp_path / "tflite", f"--numbers={numbers}"
    measured = convert(*given)
    assert least < measured["cosine"]["smallest"] <= measured["cosine"]["mean"] < 1.0001
    assert set(measured["bytes"]) == {"visible.tflite", "infrared.tflite"}
    assert all(size < most_bytes * 4 * 175_000 + 60_000 for size in measured["bytes"].values())
    assert measured["before"].keys() == measured["after"].keys()
    assert "Rank-1" in capsys.readouterr().out
    with pytest.raises(BadInput, match=r"export_dir='.*tflite' is empty or exists"):
        convert(*given)


@pytest.mark.slow
def test_onnx(people, run, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    measured = convert(ExportOnnx, people, run, tmp_path / "onnx")
    assert measured["cosine"]["smallest"] > 1 - 1e-5
    assert measured["before"] == measured["after"]


@pytest.mark.slow
def test_openvino(people, run, tmp_path, capsys, monkeypatch):
    """As OpenVINO computes by default, and batches in float32."""
    openvino = pytest.importorskip("openvino")
    warned = []
    monkeypatch.setattr(conversion, "warn_of_bfloat16", lambda: warned.append("bfloat16"))
    measured = convert(ExportOpenvino, people, run, tmp_path / "openvino")
    assert measured["cosine"]["smallest"] > 0.999
    assert set(measured["bytes"]) == {f"{m}.{end}" for m in MODALITIES for end in ("bin", "xml")}
    assert f"computed here in {measured['computed_in']}" in capsys.readouterr().out
    assert measured["computed_in"] in ("float32", "bfloat16")
    assert set(warned) == {measured["computed_in"]} - {"float32"}
    model = load_network(run)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 32, 16, 3), np.uint8)
    for modality in MODALITIES:
        file, exactly = tmp_path / f"openvino/{modality}.xml", {"INFERENCE_PRECISION_HINT": "f32"}
        found = openvino.Core().compile_model(file, "CPU", exactly)(pixels)[0]
        wanted = model.embed_images(pixels, modality)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)


def test_what_cannot_be_converted(people, run, tmp_path, monkeypatch):
    """No such format, a package that is not installed, images of another modality."""
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "openvino", None)
    dataset, model = load_dataset("own_folders", people), load_network(run)
    seeing = dataclasses.replace(model.specification, modalities=("visible",))
    for network, format, message in (
        (model, "caffe", "format='caffe' is not allowed; it must be one of onnx, openvino, tflite"),
        (model, "onnx", r'Install it: pip install "cmnas_tf\[onnx\]"'),
        (model, "openvino", r'Install it: pip install "cmnas_tf\[openvino\]"'),
        (
            dataclasses.replace(model, specification=seeing),
            "onnx",
            "trained on visible images only",
        ),
    ):
        with pytest.raises(BadInput, match=message):
            convert_network(network, tmp_path / "out", dataset, format)
    assert not list(tmp_path.iterdir())
