"""The table of images: rows in, rows out, and how it is cut."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Picture

from cmnas_tf.data.index import Count, Dataset, Image, Images
from cmnas_tf.data.verify import readable
from cmnas_tf.errors import BadInput

ROWS = [
    Image("cam3/0002/b.jpg", 2, 3, "infrared"),
    Image("cam1/0002/a.jpg", 2, 1, "visible"),
    Image("cam1/0007/c.jpg", 7, 1, "visible"),
]

images = st.builds(
    Image,
    path=st.sampled_from("abc"),
    pid=st.integers(0, 9),
    camera=st.integers(1, 9),
    modality=st.sampled_from(["visible", "infrared"]),
    role=st.sampled_from(["", "query", "gallery"]),
)


def rows_of(table):
    return [Image(*row) for row in zip(*vars(table).values(), strict=True)]


def test_columns_keep_the_order_given():
    table = Images.of(iter(ROWS))
    assert table.paths.tolist() == ["cam3/0002/b.jpg", "cam1/0002/a.jpg", "cam1/0007/c.jpg"]
    assert table.pids.tolist() == [2, 2, 7]
    assert table.cameras.tolist() == [3, 1, 1]
    assert table.modalities.tolist() == ["infrared", "visible", "visible"]
    assert table.roles.tolist() == ["", "", ""]
    assert (table.pids.dtype, table.cameras.dtype) == (np.int64, np.int64)
    assert (table.paths.dtype, table.modalities.dtype) == (object, object)


@given(st.lists(images), st.data())
def test_selections_are_those_of_a_list(rows, data):
    """By mask, by indices (also repeated), by slice and by modality; and + puts tables in a row."""
    table = Images.of(rows)
    assert rows_of(table) == list(table) == rows
    assert len(table) == len(rows)
    mask = data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    chosen = [row for row, keep in zip(rows, mask, strict=True) if keep]
    assert rows_of(table[np.array(mask, bool)]) == chosen
    if rows:
        places = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1))
        assert rows_of(table[places]) == [rows[place] for place in places]
    assert rows_of(table[1:4]) == rows[1:4]
    infrared = [row for row in rows if row.modality == "infrared"]
    assert rows_of(table.of_modality("infrared")) == infrared
    assert rows_of(table + table[1:]) == rows + rows[1:]


def test_an_unknown_modality_is_refused():
    with pytest.raises(ValueError, match=r"visible.*infrared.*Received: 'thermal'"):
        Images.of(ROWS).of_modality("thermal")


@pytest.mark.parametrize(
    ("kept", "modalities"), [([0, 1, 2], ("visible", "infrared")), ([0], ("infrared",)), ([], ())]
)
def test_a_dataset_has_the_modalities_of_its_training_images(kept, modalities):
    """In the order of MODALITIES, although an infrared image comes first."""
    dataset = Dataset("sysu_mm01", "root", Images.of(ROWS[i] for i in kept), Images.of(ROWS))
    assert dataset.modalities == modalities


def test_counts_of_images_and_identities_by_part_and_modality():
    """Parts that are empty are left out; test images have a role or they are for the protocol."""
    query, gallery = (Image("d", 5, 1, "visible", role) for role in ("query", "gallery"))
    dataset = Dataset("market1501", "root", Images.of(ROWS), Images.of([query, gallery, gallery]))
    assert dataset.counts() == {
        "train visible": Count(images=2, identities=2),
        "train infrared": Count(images=1, identities=1),
        "query visible": Count(images=1, identities=1),
        "gallery visible": Count(images=2, identities=1),
    }
    without_roles = Dataset("sysu_mm01", "root", Images.of([]), Images.of(ROWS[:1]))
    assert without_roles.counts() == {"test infrared": Count(images=1, identities=1)}


def test_a_data_set_is_printed_as_its_counts():
    dataset = Dataset("regdb", "folder", Images.of(ROWS), Images.of(ROWS[:1] * 1234), trial=3)
    assert str(dataset).splitlines() == [
        "regdb in folder, trial 3",
        "  train visible           2 images of      2 identities",
        "  train infrared          1 images of      1 identities",
        "  test infrared       1,234 images of      1 identities",
    ]


def test_the_fingerprint_changes_with_any_field_order_or_part():
    """And with nothing else: not with the folder, nor with notes."""

    def fingerprint(train, test, root="root", notes=()):
        return Dataset("regdb", root, Images.of(train), Images.of(test), notes).fingerprint

    first, second, third = ROWS[:3]
    same = fingerprint([first, second], [third])
    assert same == fingerprint([first, second], [third], root="elsewhere", notes=("a note",))
    others = [
        fingerprint([second, first], [third]),
        fingerprint([first], [second, third]),
        fingerprint([first, second], []),
        *(
            fingerprint([first._replace(**{field: value}), second], [third])
            for field, value in (("path", "z"), ("pid", 99), ("camera", 99), ("role", "query"))
        ),
    ]
    assert len({same, *others}) == 8


def test_the_training_images_of_one_modality():
    """What is tested stays; another fingerprint, because other images are trained on."""
    dataset = Dataset("sysu_mm01", "root", Images.of(ROWS), Images.of(ROWS), ("a note",), trial=2)
    assert dataset.of_modality("all") is dataset
    infrared = dataset.of_modality("infrared")
    assert list(infrared.train) == ROWS[:1]
    assert list(infrared.test) == ROWS
    assert (dataset.modality, infrared.modality) == ("all", "infrared")
    assert (infrared.notes, infrared.trial) == (("a note",), 2)
    assert infrared.fingerprint != dataset.fingerprint
    with pytest.raises(BadInput, match=r"^modality=visible: the images are all infrared\. Leave"):
        infrared.of_modality("visible")
    with pytest.raises(BadInput, match="modality=thermal: the images are all visible, infrared"):
        dataset.of_modality("thermal")


@pytest.fixture
def spoiled(tmp_path):
    """Four training and two test images, of which two and one are cut off."""
    content = io.BytesIO()
    Picture.new("RGB", (8, 16)).save(content, "PNG")
    paths = {"train": ["a", "b", "c", "d"], "test": ["x", "y"]}
    for path in (*paths["train"], *paths["test"]):
        cut = -30 if path in ("b", "c", "x") else None
        (tmp_path / path).write_bytes(content.getvalue()[:cut])
    train, test = (
        Images.of(Image(path, pid, 1, "visible") for pid, path in enumerate(part))
        for part in paths.values()
    )
    return Dataset("sysu_mm01", tmp_path, train, test, ("a note",))


def test_unreadable_images_are_left_out_and_counted(spoiled, caplog):
    """Only those of the part that is going to be used are looked at."""
    train = readable(spoiled, "train")
    assert (train.train.paths.tolist(), len(train.test)) == (["a", "d"], 2)
    assert train.left_out == ("b", "c")
    (said,) = caplog.messages
    assert said.startswith("left out 2 unreadable images, the first of them b: not a complete JPEG")
    assert train.notes == ("a note", said)
    both = readable(train, "test")
    assert both.test.paths.tolist() == ["y"]
    assert both.left_out == ("b", "c", "x")
    assert len(spoiled.train) == 4


def test_where_every_image_can_be_read_nothing_is_said(spoiled, caplog):
    whole = readable(readable(spoiled, "train"), "test")
    caplog.clear()
    assert readable(whole, "train") is whole
    assert caplog.messages == []
