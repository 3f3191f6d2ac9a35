"""LLCM as it lies on disk, in trees of empty files."""

import pytest

from cmnas_tf.data import load_dataset
from cmnas_tf.errors import BadInput

TRAIN = {
    "vis": {"vis/0000/0000_c05_s1_f3_vis.jpg": 0, "vis/0351/0351_c06_s200656_f4830_vis.jpg": 1},
    "nir": {"nir/0351/0351_c06_s200656_f4830_nir.jpg": 1, "nir/0000/0000_c01_s1_f1_nir.jpg": 0},
}
TEST = (
    "test_vis/cam3/0012/0012_c03_s1_f2_vis.jpg",
    "test_vis/cam3/0012/0012_c03_s1_f1_vis.jpg",
    "test_nir/cam9/0012/0012_c09_s1_f1_nir.jpg",
    "test_nir/cam1/0014/0014_c01_s1_f1_nir.jpg",
)
CAMERA_FOLDERS = [
    *(f"test_vis/cam{camera}" for camera in range(1, 10)),
    *(f"test_nir/cam{camera}" for camera in (1, 2, 4, 5, 6, 7, 8, 9)),
]


@pytest.fixture
def tree(tmp_path):
    """Identities 0 and 351 to train on, 12 and 14 to test with; 13 is in no list."""
    for folder in ("idx", *CAMERA_FOLDERS):
        (tmp_path / folder).mkdir(parents=True)
    for path in (*TRAIN["vis"], *TRAIN["nir"], *TEST, "test_vis/cam1/0013/0013_c01_s1_f1_vis.jpg"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    for folder, lines in TRAIN.items():
        text = "".join(f"{path} {label}\n" for path, label in lines.items())
        (tmp_path / "idx" / f"train_{folder}.txt").write_text(text)
    (tmp_path / "idx" / "test_id.txt").write_text("14,12\n")
    return tmp_path


def rows(images):
    return list(zip(images.paths, images.pids, images.cameras, images.modalities, strict=True))


def test_training_images_are_listed_and_test_images_lie_under_their_cameras(tree):
    """Identities are folders, not labels; the camera of a training image is in its name."""
    (tree / "test_vis/cam3/0012/._0012_c03_s1_f1_vis.jpg").touch()
    dataset = load_dataset("llcm", tree)
    assert (dataset.layout, dataset.root) == ("llcm", tree)
    assert dataset.modalities == ("visible", "infrared")
    assert rows(dataset.train) == [
        ("nir/0000/0000_c01_s1_f1_nir.jpg", 0, 1, "infrared"),
        ("nir/0351/0351_c06_s200656_f4830_nir.jpg", 351, 6, "infrared"),
        ("vis/0000/0000_c05_s1_f3_vis.jpg", 0, 5, "visible"),
        ("vis/0351/0351_c06_s200656_f4830_vis.jpg", 351, 6, "visible"),
    ]
    assert rows(dataset.test) == [
        ("test_nir/cam1/0014/0014_c01_s1_f1_nir.jpg", 14, 1, "infrared"),
        ("test_nir/cam9/0012/0012_c09_s1_f1_nir.jpg", 12, 9, "infrared"),
        ("test_vis/cam3/0012/0012_c03_s1_f1_vis.jpg", 12, 3, "visible"),
        ("test_vis/cam3/0012/0012_c03_s1_f2_vis.jpg", 12, 3, "visible"),
    ]


def remove(path):
    return lambda root: (root / path).unlink()


def write(path, text):
    return lambda root: (root / path).write_text(text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (remove("idx/train_nir.txt"), r"train_nir\.txt is missing"),
        (remove("vis/0000/0000_c05_s1_f3_vis.jpg"), "1 of 8 listed images .*vis/0000/0000_c05"),
        (write("idx/train_vis.txt", "vis/0000/0000.jpg 0"), r"train_vis\.txt, line 1, must read"),
        (
            write("idx/train_nir.txt", "nir/0351/0351_c06_s200656_f4830_nir.jpg 0"),
            r"train_nir\.txt, line 1, gives identity 0351 the label 0, but .* identity 0000",
        ),
        (lambda root: (root / "test_nir/cam4").rmdir(), "has no test_nir/cam4. Unpack LLCM whole"),
        (remove("idx/test_id.txt"), r"test_id\.txt is missing; it says who is tested with"),
        (write("idx/test_id.txt", "12,x"), r"test_id\.txt must hold identity numbers .*'x'"),
        (write("idx/test_id.txt", ""), r"test_id\.txt lists no identity"),
        (write("idx/test_id.txt", "12,15,16"), r"2 identities .*no image.*\[15, 16\]"),
    ],
)
def test_bad_trees(tree, change, message):
    change(tree)
    with pytest.raises(BadInput, match=message):
        load_dataset("llcm", tree)


def test_nobody_is_trained_on_and_tested_with(tree):
    """Identity 351 has a folder of test images and is in the list of test identities."""
    path = tree / "test_vis/cam1/0351/0351_c01_s1_f1_vis.jpg"
    path.parent.mkdir()
    path.touch()
    (tree / "idx/test_id.txt").write_text("12,351")
    with pytest.raises(BadInput, match=r"1 identities .*for training and for testing.*\[351\]"):
        load_dataset("llcm", tree)


def test_there_is_one_split(tree):
    with pytest.raises(BadInput, match=r"LLCM comes with 1 split.*Received: 2"):
        load_dataset("llcm", tree, trial=2)
