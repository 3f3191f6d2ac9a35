"""MSMT17 as it lies on disk, in trees of empty files."""

import pytest

from cmnas_tf.data import load_dataset
from cmnas_tf.errors import BadInput

LISTS = {
    "list_train.txt": ("train", ["0000/0000_000_01_0303morning_0015_0.jpg 0"]),
    "list_val.txt": (
        "train",
        ["0000/0000_001_14_0303noon_0015_0.jpg 0", "0001/0001_000_15_0302afternoon_0001_1.jpg 1"],
    ),
    "list_query.txt": ("test", ["0000/0000_004_02_0303morning_0022_2.jpg 0"]),
    "list_gallery.txt": ("test", ["0000/0000_000_01_0303morning_0008_0.jpg 0"]),
}


@pytest.fixture
def tree(tmp_path):
    for name, (folder, lines) in LISTS.items():
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines))
        for line in lines:
            path = tmp_path / folder / line.split()[0]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return tmp_path


def rows(images):
    return list(zip(images.paths, images.pids, images.cameras, images.roles, strict=True))


def test_validation_is_trained_on_and_test_identities_go_on_after_training(tree):
    """Identity 0 to train on and identity 0 to test with are two people; cameras are two digits."""
    dataset = load_dataset("msmt17", tree)
    assert (dataset.layout, dataset.root) == ("msmt17", tree)
    assert dataset.modalities == ("visible",)
    assert rows(dataset.train) == [
        ("train/0000/0000_000_01_0303morning_0015_0.jpg", 0, 1, ""),
        ("train/0000/0000_001_14_0303noon_0015_0.jpg", 0, 14, ""),
        ("train/0001/0001_000_15_0302afternoon_0001_1.jpg", 1, 15, ""),
    ]
    assert rows(dataset.test) == [
        ("test/0000/0000_000_01_0303morning_0008_0.jpg", 1041, 1, "gallery"),
        ("test/0000/0000_004_02_0303morning_0022_2.jpg", 1041, 2, "query"),
    ]


def test_the_second_version_has_other_folders(tree):
    expected = load_dataset("msmt17", tree)
    (tree / "train").rename(tree / "mask_train_v2")
    (tree / "test").rename(tree / "mask_test_v2")
    actual = load_dataset("msmt17", tree)
    for part, before, now in (
        ("train", "train", "mask_train_v2"),
        ("test", "test", "mask_test_v2"),
    ):
        paths = getattr(expected, part).paths
        assert getattr(actual, part).paths.tolist() == [p.replace(before, now, 1) for p in paths]


def test_the_camera_is_the_third_field(tree):
    """Not just any field that is a number."""
    (tree / "list_query.txt").write_text("0000/0000_004_x_02_0303morning_0022_2.jpg 0")
    with pytest.raises(BadInput, match=r"list_query\.txt, line 1, must read '<identity>/"):
        load_dataset("msmt17", tree)


def test_missing_parts_are_named(tree):
    (tree / "list_val.txt").unlink()
    with pytest.raises(BadInput, match=r"list_val\.txt is missing"):
        load_dataset("msmt17", tree)
    (tree / "test").rename(tree / "elsewhere")
    (tree / "list_val.txt").write_text(LISTS["list_val.txt"][1][0])
    with pytest.raises(BadInput, match=r"has no test or mask_test_v2\. Unpack MSMT17 whole"):
        load_dataset("msmt17", tree)


def test_missing_images_are_named(tree):
    (tree / "train/0001/0001_000_15_0302afternoon_0001_1.jpg").unlink()
    with pytest.raises(BadInput, match=r"1 of 5 listed images .*train/0001/0001_000_15"):
        load_dataset("msmt17", tree)


def test_a_label_belongs_to_one_identity_in_training_and_validation(tree):
    (tree / "list_val.txt").write_text("0001/0001_000_15_0302afternoon_0001_1.jpg 0")
    with pytest.raises(BadInput, match=r"list_val\.txt, line 1, gives identity 0001 the label 0"):
        load_dataset("msmt17", tree)


def test_an_image_is_query_or_gallery_and_once(tree):
    with (tree / "list_gallery.txt").open("a") as file:
        file.write(f"./{LISTS['list_query.txt'][1][0]}\n")
    message = r"list_gallery\.txt, line 2, lists .* again, after .*list_query\.txt, line 1\."
    with pytest.raises(BadInput, match=message):
        load_dataset("msmt17", tree)
