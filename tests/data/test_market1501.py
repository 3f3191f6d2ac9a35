"""Market-1501 as it lies on disk, in trees of empty files."""

import pytest

from cmnas_tf.data import load_dataset
from cmnas_tf.data.findings import sentences
from cmnas_tf.errors import BadInput

FILES = (
    "bounding_box_train/0002_c1s1_000451_03.jpg",
    "bounding_box_train/0002_c2s1_000301_01.jpg",
    "bounding_box_train/0007_c3s3_077419_03.jpg",
    "query/0001_c1s1_001051_00.jpg",
    "bounding_box_test/0001_c2s1_000301_00.jpg",
    "bounding_box_test/0000_c5s1_000401_03.jpg",
    "bounding_box_test/-1_c1s1_000401_03.jpg",
    "bounding_box_test/-1_c6s4_000401_03.jpg",
)
# The gallery as the loader gives it: distractors are in it, junk is not.
GALLERY = [
    ("bounding_box_test/0000_c5s1_000401_03.jpg", 0, 5, "gallery"),
    ("bounding_box_test/0001_c2s1_000301_00.jpg", 1, 2, "gallery"),
]


@pytest.fixture
def tree(tmp_path):
    for path in FILES:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()
    return tmp_path


def rows(images):
    return list(zip(images.paths, images.pids, images.cameras, images.roles, strict=True))


def test_folders_say_who_is_trained_on_asks_and_answers(tree):
    """Names that are no images are passed over."""
    for name in ("Thumbs.db", "._0002_c1s1_000451_03.jpg"):
        (tree / "bounding_box_train" / name).touch()
    dataset = load_dataset("market1501", tree)
    assert (dataset.layout, dataset.root) == ("market1501", tree)
    assert dataset.modalities == ("visible",)
    assert set(dataset.test.modalities) == {"visible"}
    assert rows(dataset.train) == [
        ("bounding_box_train/0002_c1s1_000451_03.jpg", 2, 1, ""),
        ("bounding_box_train/0002_c2s1_000301_01.jpg", 2, 2, ""),
        ("bounding_box_train/0007_c3s3_077419_03.jpg", 7, 3, ""),
    ]
    assert rows(dataset.test) == [*GALLERY, ("query/0001_c1s1_001051_00.jpg", 1, 1, "query")]
    (note,) = sentences(dataset.notes)
    assert (
        note == "bounding_box_test/-1_c1s1_000401_03.jpg and 1 more: left out; junk (identity -1)"
    )


def test_without_junk_there_is_nothing_to_note(tree):
    for path in (tree / "bounding_box_test").glob("-1*"):
        path.unlink()
    dataset = load_dataset("market1501", tree)
    assert dataset.notes == ()
    assert rows(dataset.test)[:2] == GALLERY


@pytest.mark.parametrize("folder", ["bounding_box_train", "query", "bounding_box_test"])
def test_a_folder_without_images_is_named(tree, folder):
    for path in (tree / folder).iterdir():
        path.unlink()
    with pytest.raises(BadInput, match=f"{folder} holds no image"):
        load_dataset("market1501", tree)


@pytest.mark.parametrize("name", ["0002.jpg", "c1_0002.jpg", "-2_c1s1_000451_03.jpg", "2_cx.jpg"])
def test_a_name_without_identity_and_camera_is_refused(tree, name):
    (tree / "query" / name).touch()
    with pytest.raises(BadInput, match=f"query/{name} is not named by identity and camera"):
        load_dataset("market1501", tree)


def test_nobody_is_trained_on_and_tested_with(tree):
    (tree / "query" / "0007_c1s1_000001_00.jpg").touch()
    with pytest.raises(BadInput, match=r"1 identities .*for training and for testing.*\[7\]"):
        load_dataset("market1501", tree)


def test_junk_is_left_out_wherever_it_is(tree):
    for folder in ("bounding_box_train", "query"):
        (tree / folder / "-1_c1s1_000401_03.jpg").touch()
    dataset = load_dataset("market1501", tree)
    assert set(dataset.train.pids) == {2, 7}
    assert set(dataset.test.pids) == {0, 1}
    (note,) = sentences(dataset.notes)
    assert note.startswith("bounding_box_train/-1_c1s1_000401_03.jpg and 3 more: left out; junk")


def test_nobody_asks_for_distractors(tree):
    (tree / "query" / "0000_c1s1_000401_03.jpg").touch()
    message = r"query/0000_c1s1_000401_03\.jpg asks for identity 0, and these are distractors"
    with pytest.raises(BadInput, match=message):
        load_dataset("market1501", tree)


def test_people_numbered_from_the_start_again_are_named_as_such(tree):
    """Identities 0, 1 and 2 in both parts: 0 stands for people, not for distractors."""
    for path in list(tree.glob("*/*.jpg")):
        path.unlink()
    for folder in ("bounding_box_train", "query", "bounding_box_test"):
        for pid in range(3):
            (tree / folder / f"{pid:04d}_c1s1_000401_03.jpg").touch()
    message = r"testing, .*\[0, 1, 2\].* numbered from the start again; number them from 3 on"
    with pytest.raises(BadInput, match=message):
        load_dataset("market1501", tree)
