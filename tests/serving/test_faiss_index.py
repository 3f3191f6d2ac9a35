"""FAISS finds what NumPy finds: all of it, or as much as is said."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from cmnas_tf.errors import BadInput
from cmnas_tf.serving.entries import Entry
from cmnas_tf.serving.gallery import Gallery
from tests.disks import room_for

faiss_index = pytest.importorskip("cmnas_tf.serving.faiss_index")
pytest.importorskip("faiss")
FaissIndex, build_faiss_index = faiss_index.FaissIndex, faiss_index.build_faiss_index


def gallery_of(count, people=40, size=16, seed=0):
    """Entries scattered around people, from three cameras in turn."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((people, size))
    who = np.arange(count) % people
    rows = centres[who] + 0.5 * random.standard_normal((count, size))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    entries = [Entry(str(n), str(n), str(n % 3), "visible") for n in range(count)]
    return Gallery.of("net", entries, rows)


@pytest.mark.parametrize("kind", ["flat", "ivf", "hnsw"])
def test_with_all_effort_every_kind_is_exact(kind, tmp_path):
    """Read back from its file; with and without the cameras' rule."""
    gallery = gallery_of(400)
    FaissIndex.of(gallery, kind).save(tmp_path / "index")
    index = FaissIndex.load(tmp_path / "index", effort=400)
    queries = gallery_of(6, seed=1).embeddings
    for camera in (None, ["0", "", "2", "0", "elsewhere", "1"]):
        wanted, found = gallery.search(queries, 5, camera), index.search(queries, 5, camera)
        np.testing.assert_array_equal(found.ids, wanted.ids)
        np.testing.assert_array_equal(found.cameras, wanted.cameras)
        np.testing.assert_allclose(found.scores, wanted.scores, rtol=0, atol=1e-6)
    assert faiss_index.recall(index, gallery, 10, 50) == 1.0


def test_compressed_entries_take_less_and_find_most(tmp_path, capfd):
    """16 numbers are 16 bytes then, of few entries fewer, with nothing to warn of."""
    for count, bits, least in ((50, None, 1.0), (400, 3, 0.9), (12_000, 8, 0.9)):
        gallery = gallery_of(count, people=count // 10)
        index = FaissIndex.of(gallery, "ivfpq", effort=500)
        assert faiss_index.recall(index, gallery, 10, 50) >= least
        if bits:
            assert (index.index.pq.M, index.index.pq.nbits) == (16, bits)
    sizes = []
    for kind in ("ivf", "ivfpq"):
        FaissIndex.of(gallery, kind).save(tmp_path / kind)
        sizes.append((tmp_path / kind / "index.faiss").stat().st_size)
    assert sizes[1] < 0.5 * sizes[0]
    assert "WARNING" not in capfd.readouterr().err


def test_recall_counts_what_is_missed():
    """An index of the first half finds about half of the matches, and all that are its own."""
    gallery = gallery_of(400)
    half = FaissIndex.of(gallery[np.arange(200)], "flat")
    measured = faiss_index.recall(half, gallery, 10, 400)
    exact = gallery.search(gallery.embeddings, 10).ids.astype(int)
    assert measured == pytest.approx(np.mean(exact < 200))
    assert 0.3 < measured < 0.7


def test_little_effort_finds_less():
    gallery = gallery_of(2_000, people=500)
    measured = [
        faiss_index.recall(FaissIndex.of(gallery, "ivf", effort), gallery, 10, 100)
        for effort in (1, 8, 60)
    ]
    assert measured[0] < measured[1] <= measured[2] == 1.0


def test_embeddings_of_another_size():
    index = FaissIndex.of(gallery_of(20), "flat")
    with pytest.raises(BadInput, match="of 16 numbers, and those of the queries have 8: another"):
        index.search(gallery_of(2, size=8).embeddings, 1)


def test_k_that_cannot_be_answered():
    index = FaissIndex.of(gallery_of(9), "flat")
    query = np.zeros((1, 16), np.float32)
    for k, camera, most in ((0, [""], 9), (10, [""], 9), (7, ["1"], 6)):
        with pytest.raises(BadInput, match=f"k={k} must be 1 to {most}"):
            index.search(query, k, camera)


def test_an_index_of_a_gallery_file(tmp_path):
    gallery_of(300).save(tmp_path / "g.npz")
    gallery_of(3)[np.zeros(3, bool)].save(tmp_path / "empty.npz")
    built = build_faiss_index(tmp_path / "g.npz", tmp_path / "index")
    assert built.recall == 1.0 and built.milliseconds > 0
    assert "hnsw index of 300 entries" in str(built) and "recall@10 1.0000" in str(built)
    for given, message in (
        ((tmp_path / "g.npz", tmp_path / "index"), "output='.*index' is empty or exists"),
        (
            (tmp_path / "g.npz", tmp_path / "other", "lsh"),
            "kind='lsh' is not allowed; .* flat, ivf",
        ),
        (
            (tmp_path / "empty.npz", tmp_path / "other"),
            r"empty\.npz has no entries; .*`build_gallery`",
        ),
    ):
        with pytest.raises(BadInput, match=message):
            build_faiss_index(*given)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty.npz", "g.npz", "index"]
    with pytest.raises(BadInput, match=r"entries\.npz is no gallery file"):
        FaissIndex.load(tmp_path / "absent")
    (tmp_path / "index" / "index.faiss").write_bytes(b"cut")
    with pytest.raises(BadInput, match="holds no FAISS index that can be read"):
        FaissIndex.load(tmp_path / "index")


def test_damage_is_seen(tmp_path, caplog):
    """Wherever it is: each file is changed in 40 places, and cut."""
    gallery = gallery_of(60)
    FaissIndex.of(gallery, "hnsw").save(tmp_path)
    for name in ("index.faiss", "entries.npz", "SHA256SUMS"):
        file = tmp_path / name
        content, random = file.read_bytes(), np.random.default_rng(0)
        for place in random.integers(len(content), size=40):
            changed = bytes([content[place] ^ random.integers(1, 256)])
            file.write_bytes(content[:place] + changed + content[place + 1 :])
            with pytest.raises(BadInput, match=r"holds no FAISS index|is no gallery file"):
                FaissIndex.load(tmp_path)
        file.write_bytes(content[: len(content) // 2])
        with pytest.raises(BadInput, match=r"holds no FAISS index|is no gallery file"):
            FaissIndex.load(tmp_path)
        file.write_bytes(content)
    said = subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=tmp_path, check=True)
    assert said.returncode == 0 and not caplog.messages


def test_an_index_of_an_earlier_version_has_no_checksums(tmp_path, caplog):
    """It is read, with a note; but not beside another number of entries."""
    gallery = gallery_of(60)
    FaissIndex.of(gallery, "flat").save(tmp_path)
    (tmp_path / "SHA256SUMS").unlink()
    with caplog.at_level("INFO", "cmnas_tf"):
        index = FaissIndex.load(tmp_path)
    assert caplog.messages == [f"{tmp_path} has no SHA256SUMS: damage would not be seen."]
    assert index.search(gallery.embeddings[:1], 1).ids.tolist() == [["0"]]
    replace(gallery[np.arange(59)], embeddings=gallery.embeddings[:59, :0]).save(
        tmp_path / "entries.npz"
    )
    with pytest.raises(BadInput, match="60 embeddings of 59 entries"):
        FaissIndex.load(tmp_path)
    (tmp_path / "index.faiss").unlink()
    os.mkfifo(tmp_path / "index.faiss")
    with pytest.raises(BadInput, match="a pipe or a device"):
        FaissIndex.load(tmp_path)


def test_a_full_disk_leaves_no_index(tmp_path):
    index = FaissIndex.of(gallery_of(600, size=64), "flat")
    with pytest.raises(OSError, match=r"^Cannot write .*index: .*File too large"), room_for(9**5):
        index.save(tmp_path / "index")
    assert not list(tmp_path.iterdir())


def test_without_faiss(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(BadInput, match=r'Install it: pip install "cmnas_tf\[faiss\]"'):
        FaissIndex.of(gallery_of(3), "flat")
