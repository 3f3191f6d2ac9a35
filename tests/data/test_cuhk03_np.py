"""CUHK03-NP as it lies on disk, in trees of empty files."""

import pytest

from cmnas_tf.data import load_dataset
from cmnas_tf.errors import BadInput

FILES = (
    "bounding_box_train/0003_c1_21.png",
    "bounding_box_train/0003_c2_26.png",
    "query/0002_c1_3.png",
    "bounding_box_test/0002_c2_9.png",
)


def make(root, boxes):
    for path in FILES:
        (root / boxes / path).parent.mkdir(parents=True, exist_ok=True)
        (root / boxes / path).touch()


def rows(images):
    return list(zip(images.paths, images.pids, images.cameras, images.roles, strict=True))


@pytest.mark.parametrize("boxes", ["detected", "labeled"])
def test_the_boxes_are_two_data_sets_in_one_folder(tmp_path, boxes):
    make(tmp_path, "detected")
    make(tmp_path, "labeled")
    dataset = load_dataset(f"cuhk03_np_{boxes}", tmp_path)
    assert dataset.layout == f"cuhk03_np_{boxes}"
    assert dataset.modalities == ("visible",)
    assert rows(dataset.train) == [
        (f"{boxes}/bounding_box_train/0003_c1_21.png", 3, 1, ""),
        (f"{boxes}/bounding_box_train/0003_c2_26.png", 3, 2, ""),
    ]
    assert rows(dataset.test) == [
        (f"{boxes}/bounding_box_test/0002_c2_9.png", 2, 2, "gallery"),
        (f"{boxes}/query/0002_c1_3.png", 2, 1, "query"),
    ]


def test_other_boxes_than_wanted_are_recognised(tmp_path):
    make(tmp_path, "detected")
    with pytest.raises(BadInput, match="looks like cuhk03_np_detected, not like cuhk03_np_labeled"):
        load_dataset("cuhk03_np_labeled", tmp_path)


def test_a_folder_without_images_is_named(tmp_path):
    make(tmp_path, "labeled")
    (tmp_path / "labeled/query/0002_c1_3.png").unlink()
    with pytest.raises(BadInput, match="labeled/query holds no image"):
        load_dataset("cuhk03_np_labeled", tmp_path)


def test_a_folder_may_be_called_like_the_boxes(tmp_path):
    """Which does not make it a part of this data set."""
    for split, pid in (("train", 1), ("query", 2), ("gallery", 2)):
        folder = tmp_path / "labeled" / split / "rgb" / f"cam{pid}" / str(pid)
        folder.mkdir(parents=True)
        (folder / "1.png").touch()
    assert len(load_dataset("own_folders", tmp_path / "labeled").test) == 2


@pytest.mark.parametrize("layout", ["cuhk03_np_detected", "cuhk03_np_labeled", "market1501"])
def test_the_folder_of_one_kind_of_boxes_is_not_the_data_set(tmp_path, layout):
    """It looks like Market-1501, as which its results would bear a wrong name."""
    make(tmp_path, "detected")
    message = f"detected is a part of cuhk03_np_detected. Give the folder above, {tmp_path}"
    with pytest.raises(BadInput, match=message):
        load_dataset(layout, tmp_path / "detected")
