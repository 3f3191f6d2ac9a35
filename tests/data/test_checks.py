"""What is wrong with what a data set lists; all of it, in sentences."""

import os

import pytest

from cmnas_tf.data import load_dataset, read_dataset
from cmnas_tf.data.index import Dataset, Image, Images
from cmnas_tf.data.layouts import identity_faults, missing_files
from cmnas_tf.errors import BadInput
from cmnas_tf.reading import MOST_BYTES


def dataset_of(train, test=(), root="root"):
    """Images given as (pid, modality) or (pid, modality, role)."""

    def table(part, rows):
        return Images.of(
            Image(f"{part}{n}.jpg", row[0], 1, row[1], *row[2:]) for n, row in enumerate(rows)
        )

    return Dataset("sysu_mm01", root, table("train", train), table("test", test))


GOOD = [(1, "visible"), (1, "infrared"), (2, "visible"), (2, "infrared")]


def test_a_good_data_set_has_no_faults():
    dataset = dataset_of(GOOD, [(3, "visible"), (3, "infrared")])
    assert list(identity_faults(dataset)) == []


def test_every_fault_is_found_at_once():
    """Identity 2 is in both parts, 5 and 6 lack a modality each."""
    train = [*GOOD, (5, "visible"), (6, "infrared")]
    both, infrared, visible = identity_faults(dataset_of(train, [(2, "visible"), (9, "visible")]))
    assert both.startswith("1 identities of root are for training and for testing")
    assert "[2]" in both
    assert infrared.startswith("1 training identities of root have no visible image")
    assert "[6]" in infrared
    assert visible.startswith("1 training identities of root have no infrared image")
    assert "[5]" in visible


def test_one_modality_for_all_is_no_fault():
    assert list(identity_faults(dataset_of([(1, "visible"), (2, "visible")]))) == []


def test_missing_files_are_counted_and_the_first_is_named(tmp_path):
    (tmp_path / "train0.jpg").touch()
    dataset = dataset_of([(1, "visible")], [(2, "visible"), (3, "visible")], tmp_path)
    (told,) = missing_files(dataset)
    assert told.startswith("2 of 3 listed images are not in ")
    assert "the first of them test0.jpg" in told
    for name in ("test0.jpg", "test1.jpg"):
        (tmp_path / name).touch()
    assert list(missing_files(dataset)) == []
    os.truncate(tmp_path / "test1.jpg", MOST_BYTES + 1)
    (told,) = missing_files(dataset)
    assert "or have more than 67,108,864 bytes, the first of them test1.jpg" in told


def test_loading_says_all_that_reading_lets_through(tmp_path):
    """RegDB whose lists have identity 1 in both parts and identity 2 without infrared images, of
    which one file is missing."""
    (tmp_path / "idx").mkdir()
    lists = {
        "train_visible": ["Visible/1/a.bmp 0", "Visible/2/a.bmp 1"],
        "train_thermal": ["Thermal/1/a.bmp 0"],
        "test_visible": ["Visible/1/b.bmp 0"],
        "test_thermal": ["Thermal/1/b.bmp 0"],
    }
    for name, lines in lists.items():
        (tmp_path / "idx" / f"{name}_1.txt").write_text("\n".join(lines))
        for line in lines:
            file = tmp_path / line.split()[0]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    (tmp_path / "Thermal/1/b.bmp").unlink()
    assert len(read_dataset("regdb", tmp_path).train) == 3
    with pytest.raises(BadInput) as caught:
        load_dataset("regdb", tmp_path)
    missing, both, without = str(caught.value).splitlines()
    assert missing.startswith("1 of 5 listed images are not in")
    assert both.startswith("1 identities")
    assert without.startswith("1 training identities")


def test_people_numbered_from_the_start_again_are_told_what_to_do():
    """Where most numbers are there twice, from 0 or 1 on; one person in both parts is a slip."""
    again = [(pid, "visible") for pid in range(3)]
    (told,) = identity_faults(dataset_of(again, again[:2]))
    assert told.endswith("numbered from the start again; number them from 3 on")
    (told,) = identity_faults(dataset_of(again, [(2, "visible"), (8, "visible"), (9, "visible")]))
    assert told.endswith("Take them out of one of the lists")
