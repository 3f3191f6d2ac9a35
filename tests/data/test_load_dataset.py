"""Which layout a folder has, and what is said when it is not the right one."""

import re

import pytest

from cmnas_tf.data import LAYOUTS, load_dataset
from cmnas_tf.errors import BadInput
from cmnas_tf.modality import MODALITIES


def make(root, marks):
    """Folders and files that fit the marks, which are patterns."""
    for mark in marks:
        path = root / mark.replace("*", "0001").replace("?", "1")
        if "." in mark:
            path.touch()
        else:
            path.mkdir(parents=True, exist_ok=True)
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
    assert "`write_dataset`" in str(caught.value)
    (others,) = re.findall("another layout, name that: (.*)", str(caught.value))
    assert others.split(", ") == [name for name in LAYOUTS if name != layout]


def test_unknown_layout(tmp_path):
    with pytest.raises(BadInput, match=r"no data set 'sysu'.*mean sysu_mm01\?.*sysu_mm01, regdb"):
        load_dataset("sysu", tmp_path)


def test_sysu_has_one_split(tmp_path):
    with pytest.raises(BadInput, match=r"SYSU-MM01 comes with 1 split.*Received: 2"):
        load_dataset("sysu_mm01", tmp_path, trial=2)


@pytest.mark.parametrize(
    ("layout", "identities", "images"),
    [
        ("sysu_mm01", 491, None),
        ("regdb", 412, 8240),
        ("llcm", 1064, 46767),
        ("market1501", 1501, 32668 - 3819 + 3368),
        ("cuhk03_np_detected", 1467, 14097),
        ("cuhk03_np_labeled", 1467, 14096),
        ("msmt17", 4101, 126441),
    ],
)
def test_published_counts_add_up(layout, identities, images):
    """To the totals that are published for the whole data set. Those of Market-1501 count its 3,819
    junk images and not its queries. SYSU-MM01: not every part is published."""
    published = LAYOUTS[layout].published
    tested = published.get("query visible") or published["test infrared"]
    assert published["train visible"].identities + tested.identities == identities
    if images:
        assert sum(count.images for count in published.values()) == images


def test_published_counts_have_the_names_that_are_counted():
    parts = {"train", "test", "query", "gallery"}
    names = {f"{part} {modality}" for part in parts for modality in MODALITIES}
    for layout in LAYOUTS.values():
        assert set(layout.published) <= names
