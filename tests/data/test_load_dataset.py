"""Which layout a folder has, and what is said when it is not the right one."""

import pytest

from cmnas_tf.data import LAYOUTS, load_dataset
from cmnas_tf.errors import BadInput


def make(root, marks):
    for mark in marks:
        (root / mark).mkdir()
    return root


@pytest.mark.parametrize("wanted", LAYOUTS)
@pytest.mark.parametrize("found", LAYOUTS)
def test_another_layout_is_recognised(tmp_path, wanted, found):
    make(tmp_path, LAYOUTS[found].marks)
    message = f"looks like {found}, not like {wanted}"
    with pytest.raises(BadInput) as caught:  # of the right layout, but without lists
        load_dataset(wanted, tmp_path)
    assert (message in str(caught.value)) == (wanted != found)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent", "absent does not exist"),
        ("empty", "empty is empty"),
        ("other", "other holds nothing of the data set"),
        ("file", "file is a file"),
    ],
)
def test_a_folder_without_the_data_set(tmp_path, layout, name, message):
    """The message names the folder, shows how it should look, and offers synthetic people."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "other" / "holiday").mkdir(parents=True)
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match=message) as caught:
        load_dataset(layout, tmp_path / name)
    assert LAYOUTS[layout].tree in str(caught.value)
    assert "python -m cmnas_tf.make_synthetic" in str(caught.value)


def test_unknown_layout(tmp_path):
    with pytest.raises(BadInput, match=r"one of \['regdb', 'sysu_mm01'\]. Received: 'SYSU'"):
        load_dataset("SYSU", tmp_path)


def test_sysu_has_one_split(tmp_path):
    with pytest.raises(BadInput, match=r"SYSU-MM01 comes with 1 split.*Received: 2"):
        load_dataset("sysu_mm01", tmp_path, trial=2)
