"""A gallery keeps what it is given, finds what NumPy finds, and changes only where it is told."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cmnas_tf.errors import BadInput
from cmnas_tf.serving.entries import Entry, entries_of
from cmnas_tf.serving.gallery import Gallery
from cmnas_tf.serving.identification import Identification


def gallery_of(rows, ids=None, cameras=None):
    rows = np.asarray(rows, np.float32)
    numbers = range(len(rows))
    ids = ids or [f"person{n}" for n in numbers]
    cameras = cameras or ["1"] * len(rows)
    entries = [
        Entry(f"visible/cam{cameras[n]}/{ids[n]}/{n}.png", ids[n], cameras[n], "visible")
        for n in numbers
    ]
    return Gallery.of("net", entries, rows)


def unit_rows(count, size, seed):
    rows = np.random.default_rng(seed).standard_normal((count, size)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def in_graph(gallery, embedding, k, camera=None):
    identify = tf.function(Identification(gallery), autograph=False)
    count = len(embedding)
    found = identify(
        tf.constant(embedding),
        tf.constant(camera or [""] * count),
        tf.constant(np.resize(k, count), tf.int32),
    )
    return {name: tensor.numpy() for name, tensor in found.items()}


def test_matches_by_hand():
    """The query (1, 0) has cosines 0.6, 1, 0, 0.6 with these; of the equal ones the first leads.

    From camera "b" it does not see the entry that is the query itself.
    """
    gallery = gallery_of(
        [[0.6, 0.8], [1, 0], [0, 1], [0.6, -0.8]], ["u", "v", "w", "x"], ["a", "b", "a", "c"]
    )
    query = np.array([[1, 0]], np.float32)
    everyone = gallery.search(query, 4)
    assert everyone.ids.tolist() == [["v", "u", "x", "w"]]
    np.testing.assert_allclose(everyone.scores, [[1, 0.6, 0.6, 0]], rtol=1e-6)
    other_cameras = gallery.search(query, 3, ["b"])
    assert other_cameras.ids.tolist() == [["u", "x", "w"]]
    assert other_cameras.cameras.tolist() == [["a", "c", "a"]]
    for camera, wanted in (("", everyone), ("elsewhere", everyone), ("b", other_cameras)):
        found = in_graph(gallery, query, wanted.ids.shape[1], [camera])
        assert found["ids"].astype(str).tolist() == wanted.ids.tolist()
        assert found["cameras"].astype(str).tolist() == wanted.cameras.tolist()
        np.testing.assert_array_equal(found["scores"], wanted.scores)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 5))
@example(seed=1709425, entries=37, queries=3)  # equal entries whose float64 sums differ
def test_the_graph_answers_as_numpy(seed, entries, queries):
    """Cameras at random; every third entry is one of four, so that there are many ties."""
    random = np.random.default_rng(seed)
    rows = unit_rows(entries, 16, seed)
    rows[::3] = rows[random.integers(0, min(4, entries), len(rows[::3]))]
    gallery = gallery_of(rows, cameras=[str(n) for n in random.integers(0, 3, entries)])
    embedding = unit_rows(queries, 16, seed + 1)
    camera = [str(n) if n < 4 else "" for n in random.integers(0, 6, queries)]
    left = min(entries - np.sum(gallery.cameras == name) * (name != "") for name in camera)
    if left:
        k = int(random.integers(1, left + 1))
        wanted, found = (
            gallery.search(embedding, k, camera),
            in_graph(gallery, embedding, k, camera),
        )
        np.testing.assert_array_equal(found["ids"].astype(str), wanted.ids)
        np.testing.assert_array_equal(found["scores"], wanted.scores)


@pytest.mark.parametrize("k", [0, -1, 5, 4])
def test_k_that_cannot_be_answered(k):
    """Four entries, one of them of the second query's camera; the first wrong row is told."""
    gallery = gallery_of(unit_rows(4, 8, 0), cameras=["1", "2", "1", "1"])
    embedding, camera = unit_rows(2, 8, 1), ["", "2"]
    with pytest.raises(BadInput, match=f"k={k} must be 1 to 3"):
        gallery.search(embedding, k, camera)
    row, entries = (1, 3) if k == 4 else (0, 4)
    said = rf"k must be 1 to .*\[{row}\] \[{k}\] \[{entries}\]"
    with pytest.raises(tf.errors.InvalidArgumentError, match=said):
        in_graph(gallery, embedding, k, camera)


@pytest.mark.slow
def test_a_gallery_of_100_000_is_answered_in_the_order_of_numpy():
    """NumPy sorts; near the end of 100 matches neighbours differ by some 1e-5."""
    rows = unit_rows(100_000, 256, 5)
    rows[70_000:70_003] = rows[10]
    queries = np.concatenate([unit_rows(3, 256, 6), rows[10:11]])
    gallery = gallery_of(rows)
    scores = (queries.astype(np.float64) @ rows.T).astype(np.float32)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :100]
    found = in_graph(gallery, queries, 100)["ids"].astype(str)
    assert found.tolist() == gallery.ids[order].tolist()
    assert found[3, :4].tolist() == ["person10", "person70000", "person70001", "person70002"]


def test_a_file_holds_the_gallery(tmp_path):
    gallery = gallery_of(unit_rows(3, 8, 0), ["ä", "b c", ""])
    gallery.save(tmp_path / "g.npz")
    loaded = Gallery.load(tmp_path / "g.npz")
    assert loaded.network == "net"
    for name, column in vars(gallery).items():
        np.testing.assert_array_equal(getattr(loaded, name), column)
    assert [file.name for file in tmp_path.iterdir()] == ["g.npz"]


def test_what_is_no_gallery_file(tmp_path):
    (tmp_path / "text.npz").write_text("no archive")
    np.savez(tmp_path / "other.npz", embeddings=np.zeros((1, 2)))
    gallery_of(unit_rows(3, 8, 0)).save(tmp_path / "cut.npz")
    content = (tmp_path / "cut.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[: len(content) // 2])
    for name in ("absent.npz", "text.npz", "other.npz", "cut.npz"):
        with pytest.raises(BadInput, match=f"{name} is no gallery file.*`build_gallery`"):
            Gallery.load(tmp_path / name)
    with pytest.raises(BadInput, match="here was made by another network"):
        gallery_of(unit_rows(1, 8, 0)).check_network("other", "here")


def test_replaced_entries_keep_their_place_and_new_ones_follow():
    """Entries 0, 1, 2; then 1 anew, and 5."""
    gallery = gallery_of(np.eye(6, dtype=np.float32))
    changed = gallery_of(2 * np.eye(6, dtype=np.float32))[np.array([5, 1])]
    found = gallery[np.array([0, 1, 2])].with_entries(changed)
    assert [name.split("/")[-1] for name in found.names] == ["0.png", "1.png", "2.png", "5.png"]
    np.testing.assert_array_equal(found.embeddings, np.diag([1, 2, 1, 1, 1, 2])[[0, 1, 2, 5]])
    assert found.ids.tolist() == ["person0", "person1", "person2", "person5"]


def test_entries_are_chosen_by_name_or_pattern():
    gallery = gallery_of(unit_rows(4, 8, 0), cameras=["1", "2", "2", "1"])
    assert gallery.matching(["*/cam2/*"]).tolist() == [False, True, True, False]
    names = ["visible/cam1/person0/0.png", "*/cam2/person2/*"]
    assert gallery.matching(names).tolist() == [True, False, True, False]
    with pytest.raises(BadInput, match=r"'\*/cam7/\*' is no entry"):
        gallery.matching(["*/cam1/*", "*/cam7/*"])


def test_a_folder_of_images(tmp_path, caplog):
    for name in ("visible/cam1/7/b.jpg", "infrared/camgate/bob/a.PNG", "visible/cam1/7/a.bmp"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "visible/cam1/7/notes.txt").touch()
    assert entries_of(tmp_path) == [
        Entry("infrared/camgate/bob/a.PNG", "bob", "gate", "infrared"),
        Entry("visible/cam1/7/a.bmp", "7", "1", "visible"),
        Entry("visible/cam1/7/b.jpg", "7", "1", "visible"),
    ]
    elsewhere = tmp_path / ".elsewhere"
    elsewhere.mkdir()
    (elsewhere / "1.JPEG").touch()
    (tmp_path / "visible/cam1/7/b.webp").touch()
    (tmp_path / "visible/cam1/9").symlink_to(elsewhere)
    with caplog.at_level("INFO", "cmnas_tf"):
        assert Entry("visible/cam1/9/1.JPEG", "9", "1", "visible") in entries_of(tmp_path)
    assert caplog.messages == [
        "visible/cam1/7/b.webp: left out; .webp is not read, save it as PNG",
        "visible/cam1/7/notes.txt: left out; .txt is not read",
    ]
    (tmp_path / "visible/7.jpg").touch()
    with pytest.raises(BadInput, match=r"7.jpg does not lie where it should"):
        entries_of(tmp_path)
    with pytest.raises(BadInput, match="holds no gallery images"):
        entries_of(tmp_path / "visible/cam1/absent")
