"""A converted network gives embeddings like the network's, and says how alike and how good."""

import json

import numpy as np
import pytest
from PIL import Image

from cmnas_tf import settings
from cmnas_tf.errors import BadInput
from export import export_onnx, export_tflite
from tests.serving.test_build_index import write_run


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


def options(kind, people, run, target, *form):
    return kind(
        settings.RunFolder(str(run)),
        settings.Checkpoint(),
        settings.ConvertedTarget(str(target)),
        settings.Data(data_dir=str(people), dataset="own_folders"),
        settings.Protocol(),
        *form,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("numbers", "least", "most_bytes"), [("float16", 0.9999, 0.56), ("int8", 0.9, 0.4)]
)
def test_tflite(numbers, least, most_bytes, people, tmp_path, capsys):
    """A float32 file would have 4 bytes for each of the 175,000 numbers of this network."""
    run = write_run(tmp_path / "run")
    target = tmp_path / "tflite"
    form = settings.Numbers(numbers)
    export_tflite.main(options(settings.ExportTflite, people, run, target, form))
    measured = json.loads((target / "measured.json").read_text())
    assert least < measured["cosine"]["smallest"] <= measured["cosine"]["mean"] < 1.0001
    assert set(measured["bytes"]) == {"visible.tflite", "infrared.tflite"}
    assert all(size < most_bytes * 4 * 175_000 + 60_000 for size in measured["bytes"].values())
    assert measured["before"].keys() == measured["after"].keys()
    assert "Rank-1" in capsys.readouterr().out
    with pytest.raises(BadInput, match="is empty or exists"):
        export_tflite.main(options(settings.ExportTflite, people, run, target, form))


@pytest.mark.slow
def test_onnx(people, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    run, target = write_run(tmp_path / "run"), tmp_path / "onnx"
    export_onnx.main(options(settings.ExportOnnx, people, run, target))
    measured = json.loads((target / "measured.json").read_text())
    assert measured["cosine"]["smallest"] > 1 - 1e-5
    assert measured["before"] == measured["after"]
