"""A store answers what the gallery file of its entries answers, whatever was changed in it."""

import datetime
import multiprocessing
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmnas_tf.errors import BadInput
from cmnas_tf.serving import store as module
from cmnas_tf.serving.entries import Entry
from cmnas_tf.serving.gallery import Gallery
from cmnas_tf.serving.searchable import load_gallery, open_gallery, open_searchable
from cmnas_tf.serving.store import Choice, Store

pytest.importorskip("lancedb")
SIZE = 16
CAMERAS = ["1", "2", "the O'Brien gate", ""]


def gallery_of(numbers, seed=0, cameras=CAMERAS):
    """Entries by these numbers, every third of which is one of four: there are many ties."""
    random, numbers = np.random.default_rng(seed), np.asarray(numbers, int)
    rows = random.standard_normal((len(numbers), SIZE))
    rows[::3] = np.eye(SIZE)[random.integers(4, size=len(rows[::3]))]
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    entries = [
        Entry(f"{n}'s.png", f"ä{n % 7}", cameras[n % len(cameras)], "visible") for n in numbers
    ]
    return Gallery.of("net", entries, rows.reshape(-1, SIZE))


@pytest.fixture
def store(tmp_path):
    """With 40 entries."""
    made = Store.create(tmp_path / "people.lance", "net", SIZE)
    made.change(gallery_of(range(40)))
    return made


def assert_same(store, gallery, seed=0):
    """Entries, answers and ranks; queries also of the gallery, whose scores are 1."""
    for found, wanted in zip(vars(store.gallery()).values(), vars(gallery).values(), strict=True):
        np.testing.assert_array_equal(found, wanted)
    queries = np.concatenate([gallery_of(range(2), seed).embeddings, gallery.embeddings[-1:]])
    camera = np.random.default_rng(seed).choice([*CAMERAS, "elsewhere"], len(queries)).tolist()
    left = min((np.sum((gallery.cameras != c) | (c == "")) for c in camera), default=0)
    for k in {left // 2, left} - {0}:
        for found, wanted in zip(
            store.search(queries, k, camera), gallery.search(queries, k, camera), strict=True
        ):
            np.testing.assert_array_equal(found, wanted)
    for only in ((), CAMERAS[2:], ["none"]):
        found, wanted = (each.ranked(queries[:1], 5, only) for each in (store, gallery))
        assert found == wanted


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_whatever_is_changed_it_is_the_gallery(seed):
    """Some are removed, some replaced, some put in; of the removed some at the same time."""
    random = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        store = Store.create(Path(folder) / "g.lance", "net", SIZE)
        gallery = gallery_of([])
        for step in range(3):
            gone = random.choice(gallery.names, len(gallery) // 4, replace=False)
            numbers = random.choice(60, random.integers(0, 20), replace=False)
            more = gallery_of(numbers, seed + step)
            store.change(more, [*gone, "unknown"])
            gallery = gallery[~np.isin(gallery.names, gone)].with_entries(more)
            assert_same(store, gallery, seed)
        assert len(Store.load(store.path).entries) == len(gallery)


def test_an_indexed_store_finds_nearly_all(store, monkeypatch):
    """Entries that are put in later are found too, scores are exact, and parts are put together."""
    monkeypatch.setattr(module, "INDEXED_FROM", 300)
    monkeypatch.setattr(module, "_PARTS", 4)
    gallery = gallery_of(range(600), cameras=["1", "2", "3"])
    store.change(gallery, [f"{n}'s.png" for n in range(40)])
    assert [index.index_type for index in store.table.list_indices()] == ["IvfRq"]
    for step in range(6):
        more = gallery_of(range(600 + step, 602 + step), step, cameras=["1", "2", "3"])
        store.change(more)
        gallery = gallery.with_entries(more)
    assert store.table.stats()["fragment_stats"]["num_fragments"] <= 5
    store = Store.load(store.path, effort=100)
    queries = gallery.embeddings[-3:]
    for camera in (None, ["1", "", "2"]):
        found, wanted = (each.search(queries, 20, camera) for each in (store, gallery))
        assert not camera or not np.any(found.cameras == np.array(camera)[:, None])
        np.testing.assert_array_equal(found.scores[:, 0], wanted.scores[:, 0])
        shared = [np.isin(*rows).mean() for rows in zip(found.scores, wanted.scores, strict=True)]
        assert min(shared) >= 0.8
    assert store.search(queries, 500).ids.shape == (3, 500)


def test_entries_are_chosen_by_camera_and_time(store):
    first = datetime.datetime.now()
    store.change(gallery_of([50, 51]))
    query = gallery_of([1]).embeddings

    def found(k, **choice):
        return replace(store, choice=Choice(**choice)).search(query, k)

    assert set(found(2, since=str(first)).ids[0]) == {"ä1", "ä2"}
    assert found(40, until=first.isoformat()).ids.shape == (1, 40)
    assert found(1, since=first.astimezone().isoformat(), cameras=("1", CAMERAS[2])).cameras == [
        [CAMERAS[2]]
    ]
    for k, choice, most in ((3, {"since": str(first)}, 2), (11, {"cameras": ("1",)}, 10)):
        with pytest.raises(BadInput, match=f"k={k} must be 1 to {most}"):
            found(k, **choice)
    with pytest.raises(BadInput, match=r"k=0 must be 1 to 42"):
        found(0)
    with pytest.raises(BadInput, match=r"until=yesterday is no time\. Write it as 2026"):
        found(1, until="yesterday")


def test_what_is_no_store(store, tmp_path):
    for path in (tmp_path / "none.lance", tmp_path / "nowhere" / "none.lance"):
        with pytest.raises(BadInput, match=r"none\.lance is no store .*: there is no such folder"):
            Store.load(path)
    assert not (tmp_path / "nowhere").exists()
    for name in ("two words.lance", "people.lance"):
        with pytest.raises(BadInput, match=rf"{name} is no store that can be searched or changed"):
            Store.create(tmp_path / name, "net", SIZE)
    (tmp_path / "file.lance").write_text("no folder")
    (tmp_path / "empty.lance").mkdir()
    for name in ("file", "empty"):
        with pytest.raises(BadInput, match=rf"{name}\.lance is no store"):
            open_searchable(tmp_path / f"{name}.lance")
    with pytest.raises(BadInput, match=r"embeddings of 16 numbers, and .* have 8: another network"):
        store.search(np.ones((1, 8), np.float32), 1)
    with pytest.raises(BadInput, match="made by another network"):
        store.change(replace(gallery_of([1]), network="another"))


@pytest.mark.parametrize("part", ["_versions", "data"])
def test_a_damaged_store_is_refused(store, part, tmp_path):
    """Wherever it was cut."""
    copy = tmp_path / "copy.lance"
    for share in (0.0, 0.5, 0.99):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(store.path, copy)
        for file in (copy / part).iterdir():
            file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
        with pytest.raises(BadInput, match=r"copy\.lance is no store .*`build_gallery`"):
            Store.load(copy).search(gallery_of([1]).embeddings, 3)


def put_in(path, start):
    """Ten entries one by one, in a process of its own."""
    for number in range(start, start + 10):
        Store.load(path).change(gallery_of([number]))


def test_two_who_change_it_at_once_lose_nothing(store):
    """And who has opened it before sees what they put in."""
    other = multiprocessing.get_context("spawn").Process(target=put_in, args=(store.path, 100))
    other.start()
    put_in(store.path, 200)
    other.join()
    assert other.exitcode == 0
    numbers = [*range(40), *range(100, 110), *range(200, 210)]
    assert sorted(store.entries.names) == sorted(gallery_of(numbers).names)
    assert store.search(gallery_of([205]).embeddings, 60).ids.shape == (1, 60)


def test_what_is_searched_is_told_by_its_path(store, tmp_path):
    gallery = gallery_of(range(40))
    gallery.save(tmp_path / "g.npz")
    assert isinstance(open_searchable(tmp_path / "g.npz"), Gallery)
    assert open_searchable(store.path, 7, Choice(since="2026-01-01")).effort == 7
    for path in (tmp_path / "g.npz", store.path):
        np.testing.assert_array_equal(load_gallery(path).embeddings, gallery.embeddings)
        assert open_gallery(path).entries.names.tolist() == gallery.names.tolist()
    with pytest.raises(BadInput, match=r"g\.npz is no store, and `cameras`, `since` and `until`"):
        open_searchable(tmp_path / "g.npz", choice=Choice(cameras=("1",)))
    with pytest.raises(BadInput, match=r"entries\.npz is no gallery file"):
        open_searchable(tmp_path)  # a folder is one of FAISS


def test_without_lancedb(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "lancedb", None)
    with pytest.raises(BadInput, match=r'Install it: pip install "cmnas_tf\[store\]"'):
        Store.create(tmp_path / "g.lance", "net", SIZE)
