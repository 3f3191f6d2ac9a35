"""SYSU-MM01 as it lies on disk, in trees of empty files."""

import re

import numpy as np
import pytest
import scipy.io

from cmnas_tf.data import load_dataset
from cmnas_tf.data.findings import sentences
from cmnas_tf.data.sysu_mm01 import gallery_orders
from cmnas_tf.errors import BadInput

PEOPLE = {"train": "2,7", "val": "11", "test": "5,3"}


@pytest.fixture
def tree(tmp_path):
    """Every identity under the cameras 1, 3 and 6; identity 9 is in no list."""
    for camera in range(1, 7):
        (tmp_path / f"cam{camera}").mkdir()
    for camera in (1, 3, 6):
        for pid in (2, 3, 5, 7, 9, 11):
            add(tmp_path, f"cam{camera}/{pid:04d}/0001.jpg")
    (tmp_path / "exp").mkdir()
    for split, pids in PEOPLE.items():
        (tmp_path / "exp" / f"{split}_id.txt").write_text(pids + "\n")
    return tmp_path


def add(root, path):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).touch()


def rows(images):
    return list(zip(images.paths, images.pids, images.cameras, images.modalities, strict=True))


def test_training_has_train_and_val_test_has_test(tree):
    """Sorted by path: camera by camera, then identity; names that are no images are passed over."""
    add(tree, "cam5/0003/0010.jpg")
    add(tree, "cam5/0003/0009.jpg")
    add(tree, "cam5/0003/Thumbs.db")
    add(tree, "cam5/0003/._0009.jpg")
    dataset = load_dataset("sysu_mm01", tree)
    assert (dataset.layout, dataset.root) == ("sysu_mm01", tree)
    (note,) = sentences(dataset.notes)
    assert note.startswith("cam1/0009/0001.jpg and 2 more: left out; in a folder that the data set")
    assert dataset.modalities == ("visible", "infrared")
    assert rows(dataset.train) == [
        (f"cam{camera}/{pid:04d}/0001.jpg", pid, camera, modality)
        for camera, modality in [(1, "visible"), (3, "infrared"), (6, "infrared")]
        for pid in (2, 7, 11)
    ]
    assert rows(dataset.test) == [
        ("cam1/0003/0001.jpg", 3, 1, "visible"),
        ("cam1/0005/0001.jpg", 5, 1, "visible"),
        ("cam3/0003/0001.jpg", 3, 3, "infrared"),
        ("cam3/0005/0001.jpg", 5, 3, "infrared"),
        ("cam5/0003/0009.jpg", 3, 5, "visible"),
        ("cam5/0003/0010.jpg", 3, 5, "visible"),
        ("cam6/0003/0001.jpg", 3, 6, "infrared"),
        ("cam6/0005/0001.jpg", 5, 6, "infrared"),
    ]


def test_lists_may_be_mat_files(tree):
    expected = load_dataset("sysu_mm01", tree)
    for split, pids in PEOPLE.items():
        ids = np.array([[int(pid) for pid in pids.split(",")]], np.uint16)
        (tree / "exp" / f"{split}_id.txt").unlink()
        scipy.io.savemat(tree / "exp" / f"{split}_id.mat", {"id": ids})
    actual = load_dataset("sysu_mm01", str(tree))
    assert rows(actual.train) == rows(expected.train)
    assert rows(actual.test) == rows(expected.test)


def test_empty_folders_are_noted(tree):
    (tree / "cam4" / "0005").mkdir()
    (tree / "cam2" / "0009").mkdir()  # in no list
    _, note = sentences(load_dataset("sysu_mm01", tree).notes)
    assert note == "cam4/0005: the folder holds no image"


def remove(path):
    def change(root):
        (root / path).unlink() if (root / path).is_file() else (root / path).rmdir()

    return change


def write(path, text):
    return lambda root: (root / path).write_text(text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (remove("cam2"), "has no cam2, but SYSU-MM01 has six cameras"),
        (remove("exp/val_id.txt"), "Neither .*val_id.txt nor val_id.mat exists"),
        (write("exp/test_id.txt", "5,three"), "test_id.txt must hold identity numbers .*'three'"),
        (write("exp/test_id.txt", "\n"), "test_id.txt lists no identity"),
        (write("exp/test_id.txt", "5,40,3,41"), r"2 identities .*no image.*\[40, 41\]"),
        (write("exp/test_id.txt", "5,7"), r"1 identities .*for training and for testing.*\[7\]"),
        (remove("cam1/0007/0001.jpg"), r"1 training identities .*no visible image.*\[7\]"),
    ],
)
def test_bad_trees(tree, change, message):
    change(tree)
    with pytest.raises(BadInput, match=message):
        load_dataset("sysu_mm01", tree)


def test_an_identity_without_infrared_images_is_refused(tree):
    for camera in (3, 6):
        (tree / f"cam{camera}" / "0011" / "0001.jpg").unlink()
    with pytest.raises(BadInput, match=re.escape("no infrared image, the first of them [11]")):
        load_dataset("sysu_mm01", tree)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ({"ids": np.array([[5, 3]])}, r"with the variable 'id', .*KeyError: 'id'"),
        ({"id": np.empty((1, 0))}, "lists no identity"),
        ({"id": "5,3"}, "id must hold identity numbers. Received: .*5,3"),
        ({"id": np.array([[5, 3.5]])}, r"id must hold identity numbers. Received: .*3\.5"),
        ({"id": np.array([[5, np.nan]])}, "id must hold identity numbers. Received: .*nan"),
        ({"id": {"train": 5}}, "with the variable 'id', of numbers, text or cells"),
        ({"id": np.array([[1], [2, 3]], object)}, "id must hold identity numbers"),
    ],
)
def test_bad_lists_of_identities(tree, ids, message):
    (tree / "exp" / "test_id.txt").unlink()
    scipy.io.savemat(tree / "exp" / "test_id.mat", ids)
    with pytest.raises(BadInput, match=rf"test_id\.mat.* {message}"):
        load_dataset("sysu_mm01", tree)


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.72, 0.99])
def test_truncated_mat_files(tree, kept):
    (tree / "exp" / "test_id.txt").unlink()
    file = tree / "exp" / "test_id.mat"
    scipy.io.savemat(file, {"id": np.arange(1, 100)}, do_compression=True)
    content = file.read_bytes()
    file.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(BadInput, match=r"test_id\.mat is not a MATLAB file.*truncated"):
        load_dataset("sysu_mm01", tree)


@pytest.mark.parametrize("content", ["matrix", "other name", "no mat file"])
def test_bad_mat_files(tree, content):
    file = tree / "exp" / "rand_perm_cam.mat"
    if content == "no mat file":
        file.write_text("not a mat file at all" * 20)
    else:
        name = "rand_perm_cam" if content == "matrix" else "permutations"
        scipy.io.savemat(file, {name: np.arange(6)})
    message = "must be a cell of 6 cameras" if content == "matrix" else "is not a MATLAB file"
    with pytest.raises(BadInput, match=rf"rand_perm_cam\.mat.* {message}|{message}"):
        gallery_orders(tree)


def test_gallery_orders_leave_out_who_was_not_seen(tree):
    cell = np.empty((6, 1), object)
    for row in range(6):
        people = np.empty((2, 1), object)
        people[0, 0] = np.empty((10, 0), np.uint8)
        people[1, 0] = (
            np.tile(np.array([2, 1], np.uint8), (10, 1)) if row == 3 else np.empty((0, 0))
        )
        cell[row, 0] = people
    scipy.io.savemat(tree / "exp" / "rand_perm_cam.mat", {"rand_perm_cam": cell})
    orders = gallery_orders(tree)
    assert list(orders) == [(4, 2)]
    np.testing.assert_array_equal(orders[4, 2], [[2, 1]] * 10)


def test_a_suffix_in_capitals_and_a_linked_folder_change_nothing(tree, tmp_path_factory):
    """One image is called .JPG; one person's folder lies elsewhere."""
    expected = load_dataset("sysu_mm01", tree)
    (tree / "cam1/0007/0001.jpg").rename(tree / "cam1/0007/0001.JPG")
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "0003"
    (tree / "cam3/0003").rename(elsewhere)
    (tree / "cam3/0003").symlink_to(elsewhere)
    actual = load_dataset("sysu_mm01", tree)
    old, new = "cam1/0007/0001.jpg", "cam1/0007/0001.JPG"
    paths = [new if path == old else path for path in expected.train.paths]
    assert actual.train.paths.tolist() == paths
    assert actual.train.pids.tolist() == expected.train.pids.tolist()
    assert rows(actual.test) == rows(expected.test)


def test_people_whose_images_are_in_another_format_are_refused(tree):
    (tree / "cam3/0007/0001.jpg").rename(tree / "cam3/0007/0001.tif")
    with pytest.raises(BadInput, match=r"cam3/0007: 1 of 1 files are not read.*save these as PNG"):
        load_dataset("sysu_mm01", tree)
