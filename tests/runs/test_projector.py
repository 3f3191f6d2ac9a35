"""What TensorBoard's projector finds in the folder of a run."""

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from PIL import Image
from tensorboard.plugins.projector import ProjectorConfig

from cmnas_tf.data.index import Image as Row
from cmnas_tf.data.index import Images
from cmnas_tf.runs import projector
from cmnas_tf.runs.projector import write_projector
from tests.disks import room_for

NAMES = "a.jpg", "b\tc\nd\x1b[2J.jpg", "<img src=x>.jpg"
IMAGES = Images.of([Row(name, pid, 1 + pid, "visible") for pid, name in enumerate(NAMES)])
COLOURS = "red", "lime", "blue"


def embeddings(seed):
    return np.random.default_rng(seed).random((len(NAMES), 4), np.float32)


def opened(row):
    return Image.new("RGB", (16, 32), COLOURS[row])


def test_the_newest_embeddings_take_the_place_of_those_before(tmp_path):
    for epoch in (1, 2):
        write_projector(tmp_path, f"epoch_{epoch}", embeddings(epoch), IMAGES, opened)
    newest = tf.train.latest_checkpoint(tmp_path)
    config = text_format.Parse((tmp_path / "projector_config.pbtxt").read_text(), ProjectorConfig())
    (shown,) = config.embeddings
    assert tf.train.list_variables(newest) == [("epoch_2", [3, 4])]
    assert shown.tensor_name == "epoch_2"
    np.testing.assert_array_equal(tf.train.load_variable(newest, "epoch_2"), embeddings(2))
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert {shown.metadata_path, shown.sprite.image_path} <= files
    assert len(files) == 6 and not any("epoch_1" in file for file in files)


def test_each_has_its_words_on_a_line_of_its_own(tmp_path):
    write_projector(tmp_path, "epoch_1", embeddings(1), IMAGES, opened)
    assert (tmp_path / "projector" / "metadata.tsv").read_text().splitlines() == [
        "person\tcamera\tmodality\timage",
        "0\t1\tvisible\ta.jpg",
        "1\t2\tvisible\tb\\tc\\nd\\x1b[2J.jpg",
        "2\t3\tvisible\t<img src=x>.jpg",
    ]


def test_each_has_a_thumbnail_in_its_place(tmp_path):
    """In rows of two; the place that is left is transparent, and so is what is beside a person."""
    write_projector(tmp_path, "epoch_1", embeddings(1), IMAGES, opened)
    sprite = Image.open(tmp_path / "projector" / "sprite.png")
    found = [sprite.getpixel((x, y)) for y in (32, 96) for x in (32, 96)]
    assert found == [(255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 255, 255), (0, 0, 0, 0)]
    assert sprite.size == (128, 128) and sprite.getpixel((2, 32)) == (0, 0, 0, 0)


def test_of_many_some_are_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(projector, "_MOST", 2)
    write_projector(tmp_path, "epoch_1", embeddings(1), IMAGES, opened)
    kept = tf.train.load_variable(tf.train.latest_checkpoint(tmp_path), "epoch_1")
    np.testing.assert_array_equal(kept, embeddings(1)[[0, 2]])
    assert len((tmp_path / "projector" / "metadata.tsv").read_text().splitlines()) == 3


def test_a_disk_without_room_is_named_and_the_older_ones_stay(tmp_path):
    write_projector(tmp_path, "epoch_1", embeddings(1), IMAGES, opened)
    with pytest.raises(OSError, match=r"epoch_2"), room_for(10):
        write_projector(tmp_path, "epoch_2", embeddings(2), IMAGES, opened)
    kept = tf.train.load_variable(tf.train.latest_checkpoint(tmp_path), "epoch_1")
    np.testing.assert_array_equal(kept, embeddings(1))
