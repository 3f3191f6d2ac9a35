"""Which images a client finds, and what their folders tell."""

import pytest

from cmnas_tf.errors import BadInput
from cmnas_tf.serving.entries import Entry, find_images


@pytest.fixture
def folder(tmp_path):
    for name in (
        "query/infrared/cam3/0007/b.jpg",
        "query/infrared/cam3/0007/a.PNG",
        "query/visible/loose.bmp",
        "query/visible/notes.txt",
        "query/visible/.hidden.jpg",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return tmp_path / "query"


def test_what_the_path_tells(folder):
    person = folder / "infrared" / "cam3" / "0007"
    assert find_images(str(folder), "from_path") == [
        Entry(str(person / "a.PNG"), "0007", "3", "infrared"),
        Entry(str(person / "b.jpg"), "0007", "3", "infrared"),
        Entry(str(folder / "visible" / "loose.bmp"), "", "", "visible"),
    ]


def test_a_modality_that_is_given_is_that_of_all(folder):
    assert {image.modality for image in find_images(str(folder), "visible")} == {"visible"}


def test_a_single_file_from_where_it_lies(folder, monkeypatch):
    monkeypatch.chdir(folder / "infrared" / "cam3" / "0007")
    (image,) = find_images("b.jpg", "from_path")
    assert (image.modality, image.camera, image.id) == ("infrared", "3", "0007")


def test_the_innermost_folder_decides(tmp_path):
    path = tmp_path / "visible" / "thermal" / "a.jpg"
    path.parent.mkdir(parents=True)
    path.touch()
    (image,) = find_images(str(path), "from_path")
    assert image.modality == "infrared"


def test_what_cannot_be_used(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    for place in ("", str(tmp_path / "none"), str(tmp_path / "empty")):
        with pytest.raises(BadInput, match="no folder that holds any"):
            find_images(place, "visible")
    (tmp_path / "empty" / "a.jpg").touch()
    with pytest.raises(BadInput, match=r"a\.jpg lies in no folder named visible or infrared"):
        find_images(str(tmp_path / "empty"), "from_path")


def test_links_are_followed_and_what_is_left_out_is_said(folder, tmp_path, caplog):
    person = tmp_path / "elsewhere"
    person.mkdir()
    (person / "c.JPEG").touch()
    (folder / "infrared" / "cam4").mkdir()
    (folder / "infrared" / "cam4" / "0007").symlink_to(person)
    (folder / "visible" / "loose.webp").touch()
    with caplog.at_level("INFO", "cmnas_tf"):
        found = find_images(str(folder), "from_path")
    linked = folder / "infrared" / "cam4" / "0007" / "c.JPEG"
    assert Entry(str(linked), "0007", "4", "infrared") in found
    assert len(found) == 4
    assert caplog.messages == [
        "visible/loose.webp: left out; .webp is not read, save it as PNG",
        "visible/notes.txt: left out; .txt is not read",
    ]
