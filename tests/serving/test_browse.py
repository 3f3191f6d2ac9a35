"""The page's searches, pictures and marks, without a browser and without NiceGUI."""

import csv
import io
import json
import sys

import numpy as np
import pytest

from cmnas_tf.commands import browse
from cmnas_tf.errors import BadInput
from cmnas_tf.serving.browse.exported import load_embed
from cmnas_tf.serving.browse.search import Query, Search, Searched, picture
from cmnas_tf.serving.call_error import refused
from cmnas_tf.serving.client.server import Server
from cmnas_tf.serving.entries import Entry
from cmnas_tf.serving.exported_model import BESIDE
from cmnas_tf.serving.gallery import Gallery
from cmnas_tf.serving.store import Store
from tests.serving import stand_in

IMAGES = stand_in.pictures(3, seed=1)
FILES = [stand_in.encoded(image) for image in IMAGES]
QUERY = Query("a.png", FILES[0], "infrared")


def embed(images, modalities, version=1):
    """As the stand-in does."""
    rows = [IMAGES[FILES.index(image)] for image in images]
    return stand_in.embeddings(np.array(rows), modalities[0], version).astype(np.float32)


@pytest.fixture
def gallery(tmp_path):
    return stand_in.write_gallery(tmp_path / "gallery")


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    """Versions 1 and 2, each with the card of the network called "digest"."""
    base = tmp_path_factory.mktemp("export")
    for version in (1, 2):
        beside = stand_in.write(base, version) / BESIDE
        beside.mkdir()
        (beside / "model_card.json").write_text(json.dumps({"network": {"sha256": "digest"}}))
    return base


def test_the_matches_are_those_of_the_gallery(gallery):
    (found,) = Search([Searched("m", embed, gallery)], k=4).matches(QUERY)
    wanted = gallery.search(embed([QUERY.content], ["infrared"]), 4)
    assert [(m.id, m.camera, np.float32(m.score)) for m in found] == wanted.of_query(0)
    assert [m.rank for m in found] == [1, 2, 3, 4]
    assert [m.image for m in found] == [f"{m.camera}.png" for m in found]


def test_a_camera_that_is_left_out_changes_no_rank(gallery):
    search = Search([Searched("m", embed, gallery)], k=3)
    assert search.cameras == [str(number) for number in range(stand_in.PEOPLE)]
    everywhere = Search([Searched("m", embed, gallery)], k=99).matches(QUERY)[0]
    (found,) = search.matches(QUERY, {"1", "4"})
    assert found == [match for match in everywhere if match.camera in ("1", "4")]
    assert search.matches(QUERY, ["none"]) == [[]]


def test_a_store_is_searched_as_it_is_now(gallery, tmp_path):
    """Its matches and ranks are those of the gallery file with the same entries."""
    pytest.importorskip("lancedb")
    store = Store.create(tmp_path / "g.lance", gallery.network, gallery.embeddings.shape[1])
    search = Search([Searched("m", embed, store)], k=3)
    store.change(gallery)
    for cameras in ((), {"1", "4"}, ["none"]):
        wanted = Search([Searched("m", embed, gallery)], k=3).matches(QUERY, cameras)
        assert search.matches(QUERY, cameras) == wanted
    assert Search([Searched("m", embed, store)]).cameras == sorted(gallery.cameras)


def test_marks_are_of_a_pair_and_a_line_for_each_model(gallery):
    second = Searched("other", lambda *given: embed(*given, version=2), gallery)
    search = Search([Searched("m", embed, gallery), second], k=stand_in.PEOPLE)
    alike = QUERY._replace(content=FILES[1])  # another camera's picture of the same name
    first, by_second = search.matches(QUERY)
    search.matches(alike)
    search.marks[first[0].pair] = "right"
    search.marks[first[1].pair] = "wrong"
    search.marks[first[2].pair] = None  # taken back
    lines = list(csv.DictReader(io.StringIO(search.csv())))
    assert {line["query_sha256"] for line in lines} == {first[0].query_sha256}
    twice = [match for match in by_second if match.pair in (first[0].pair, first[1].pair)]
    assert [(line["model"], line["image"], line["rank"]) for line in lines] == [
        (match.model, match.image, str(match.rank)) for match in (*first[:2], *twice)
    ]
    assert {line["mark"] for line in lines if line["image"] == first[0].image} == {"right"}


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_text_is_no_formula_and_numbers_stay_numbers(start):
    entry = Entry("visible/=/a.png", f"{start}1+1", "-4", "visible")
    row = -embed([QUERY.content], ["infrared"])
    search = Search([Searched("@m", embed, Gallery.of("digest", [entry], row))])
    ((match,),) = search.matches(QUERY._replace(name='=HYPERLINK("x")'))
    search.marks[match.pair] = "wrong"
    text = io.StringIO(search.csv(), newline="")
    (line,) = csv.DictReader(text)
    assert (line["id"], line["camera"], line["model"]) == (f"'{start}1+1", "'-4", "'@m")
    assert line["query"] == '\'=HYPERLINK("x")' and line["image"] == entry.name
    assert float(line["score"]) == pytest.approx(-1)


def test_pictures_come_from_the_folder_alone(tmp_path, gallery):
    folder = tmp_path / "gallery"
    search = Search([], str(folder))
    assert search.picture_of("2.png").startswith("data:image/jpeg;base64,")
    (tmp_path / "outside.png").write_bytes(FILES[0])
    (folder / "link.png").symlink_to(tmp_path / "outside.png")
    (folder / "bad.png").write_bytes(FILES[0][:40])
    outside = ("../outside.png", str(tmp_path / "outside.png"), "link.png")
    for name in (*outside, "bad.png", "gone.png", "", ".", "a\0b"):
        assert search.picture_of(name) == "", name
    assert Search([]).picture_of(str(folder / "2.png")) == ""
    assert picture(b"no picture") == ""


def test_what_a_model_refuses_is_said_in_its_words(gallery):
    def refuse(images, modalities):
        raise refused("[[{{node a/b}}]] An image must be a whole file.")

    with pytest.raises(BadInput, match=r"^An image must be a whole file\.$"):
        Search([Searched("m", refuse, gallery)]).matches(QUERY)
    wide = Searched("m", lambda *_: np.ones((1, 3), np.float32), gallery)
    with pytest.raises(BadInput, match=r"8 numbers, the answer one of 3: another network"):
        Search([wide]).matches(QUERY)


def test_an_export_embeds_as_on_a_server(export, gallery):
    """The newest version of all, or one of them."""
    for folder, version in ((export, 2), (export / "1", 1)):
        loaded = load_embed(str(folder), gallery, "g.npz")
        for modality in ("visible", "infrared"):
            wanted = embed(FILES[:1], [modality], version)
            np.testing.assert_allclose(loaded(FILES[:1], [modality]), wanted, atol=1e-6)
    with pytest.raises(BadInput, match=r"^\S.*\.$"):
        Search([Searched("m", loaded, gallery)]).matches(QUERY._replace(content=b"no picture"))


def test_exports_that_cannot_be_searched_with(export, gallery, tmp_path):
    with pytest.raises(BadInput, match=r"g\.npz was made by another network"):
        other = Gallery(**{**vars(gallery), "network": "another"})
        load_embed(str(export), other, "g.npz")
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(BadInput, match=r"^exports=.*model_card.*`export_saved_model` wrote"):
            load_embed(str(folder), gallery, "g.npz")


def test_there_is_a_gallery_for_each_model():
    pytest.importorskip("nicegui")
    command = browse.Browse(galleries=("a.npz",), exports=("x", "y"))
    with pytest.raises(BadInput, match=r"^galleries=a\.npz must be one file for each of .* x, y\."):
        browse.main(command)


def test_exports_or_a_server():
    pytest.importorskip("nicegui")
    with pytest.raises(BadInput, match=r"^exports=x are .* server=there:1 is asked"):
        browse.main(browse.Browse(exports=("x",), server=Server(server="there:1")))


def test_a_server_that_is_away_is_told_of_at_once():
    pytest.importorskip("nicegui")
    away = Server(server="127.0.0.1:9", retries=0, deadline_seconds=5.0)
    with pytest.raises(BadInput, match="No model server answers at"):
        browse.main(browse.Browse(galleries=("a.npz",), server=away))


def test_the_extra_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "nicegui", None)
    monkeypatch.delitem(sys.modules, "cmnas_tf.serving.browse.page", raising=False)
    with pytest.raises(BadInput, match=r'pip install "cmnas_tf\[browse\]"'):
        browse.main(browse.Browse(galleries=("a.npz",)))
