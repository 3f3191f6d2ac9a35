"""What is written as shards: the images and their tables, whole or not at all."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf.data import LAYOUTS
from cmnas_tf.data.index import Dataset, Image, Images
from cmnas_tf.data.shard_writer import write_shards
from cmnas_tf.errors import BadInput

ROWS = [Image(f"Visible/7/{n}.bmp", 7, 1, "visible") for n in range(4)]
TEST = [Image("q.jpg", 12, 3, "infrared", "query"), Image("ü.jpg", 12, 2, "visible", "gallery")]


@pytest.fixture
def dataset(tmp_path):
    """Files of 1,000 bytes of noise each; nothing here decodes them."""
    root = tmp_path / "folder"
    random = np.random.default_rng(0)
    for image in ROWS + TEST:
        (root / image.path).parent.mkdir(parents=True, exist_ok=True)
        (root / image.path).write_bytes(random.bytes(1000))
    return Dataset("regdb", root, Images.of(ROWS), Images.of(TEST), ("a note",), trial=3)


def examples(folder):
    """What TensorFlow reads from the shards, in their order; it compares its own checksums."""
    names = sorted(str(file) for file in folder.glob("*.tfrecord"))
    for record in tf.data.TFRecordDataset(names):
        features = tf.train.Example.FromString(record.numpy()).features.feature
        kinds = {name: getattr(f, f.WhichOneof("kind")).value for name, f in features.items()}
        yield {name: value for name, (value,) in kinds.items()}


def test_every_image_is_an_example_with_its_row_of_the_table(dataset, tmp_path):
    write_shards(dataset, tmp_path / "shards", 2500)
    listed = [("train", image) for image in ROWS] + [("test", image) for image in TEST]
    for found, (part, image) in zip(examples(tmp_path / "shards"), listed, strict=True):
        assert found == {
            "encoded": (dataset.root / image.path).read_bytes(),
            "part": part.encode(),
            "path": image.path.encode(),
            "pid": image.pid,
            "camera": image.camera,
            "modality": image.modality.encode(),
            "role": image.role.encode(),
        }


def test_the_manifest_says_what_it_is_and_what_there_is(dataset, tmp_path, registered):
    """A record is a little over 1,000 bytes, so two fit into 2,500. Of two files that the protocol
    may need there is one."""
    companions = ("list.txt", "none.txt")
    registered("made_up", dataclasses.replace(LAYOUTS["regdb"], companions=companions))
    dataset = dataclasses.replace(dataset, layout="made_up")
    (dataset.root / "list.txt").write_text("a list")
    target = tmp_path / "shards"
    returned = write_shards(dataset, target, 2500)
    manifest = json.loads((target / "manifest.json").read_text())
    assert manifest == returned
    shards, files = manifest.pop("shards"), manifest.pop("files")
    assert manifest == {
        "schema_version": 1,
        "layout": "made_up",
        "trial": 3,
        "modalities": ["visible"],
        "counts": {
            "train visible": {"images": 4, "identities": 1},
            "query infrared": {"images": 1, "identities": 1},
            "gallery visible": {"images": 1, "identities": 1},
        },
        "fingerprint": dataset.fingerprint,
        "notes": ["a note"],
    }
    assert [(shard["file"], shard["images"]) for shard in shards] == [
        ("00000.tfrecord", 2),
        ("00001.tfrecord", 2),
        ("00002.tfrecord", 2),
    ]
    assert [file["file"] for file in files] == ["index.csv", "list.txt"]
    for listed in shards + files:
        content = (target / listed["file"]).read_bytes()
        assert listed["bytes"] == len(content)
        assert listed["sha256"] == hashlib.sha256(content).hexdigest()
    assert (target / "list.txt").read_text() == "a list"


@pytest.mark.parametrize(("size", "shards"), [(1, 6), (10**6, 1)])
def test_a_shard_holds_at_least_one_image(dataset, tmp_path, size, shards):
    assert len(write_shards(dataset, tmp_path / "shards", size)["shards"]) == shards


def test_the_same_images_give_the_same_bytes(dataset, tmp_path):
    one, other = (write_shards(dataset, tmp_path / name, 2500) for name in ("one", "other"))
    assert one == other


def test_progress_counts_the_images(dataset, tmp_path):
    reported = []
    write_shards(dataset, tmp_path / "shards", 2500, progress=reported.append)
    assert sum(reported) == 6


def test_an_interrupted_writing_leaves_nothing(dataset, tmp_path):
    """And before its end nothing that looks finished."""
    target, seen = tmp_path / "shards", []

    def interrupt(images):
        seen.append(target.exists())
        if len(seen) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shards(dataset, target, 2500, progress=interrupt)
    assert seen == [False] * 5
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_full_disk_is_an_error_of_the_system(dataset, tmp_path, monkeypatch):
    """Commands explain those; nothing is left."""

    def full(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(tf.io.TFRecordWriter, "write", full)
    with pytest.raises(OSError, match="Cannot write the shards: No space left on device"):
        write_shards(dataset, tmp_path / "shards", 2500)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: path.touch()])
def test_what_exists_is_not_touched(dataset, tmp_path, make):
    target = tmp_path / "shards"
    make(target)
    with pytest.raises(BadInput, match=r"^shards_dir=.*shards exists"):
        write_shards(dataset, target, 2500)
