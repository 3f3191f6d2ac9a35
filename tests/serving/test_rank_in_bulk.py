"""Embeddings in bulk are ranked a part at a time, as the evaluation ranks them."""

import numpy as np
import pytest

from cmnas_tf.commands import cmnas
from cmnas_tf.errors import BadInput
from cmnas_tf.files import write_json
from cmnas_tf.retrieval import rank
from cmnas_tf.serving.embedded import MANIFEST, part_file, write_part
from cmnas_tf.serving.gallery import Gallery
from cmnas_tf.serving.rank_in_bulk import rank_in_bulk

pytest.importorskip("pyarrow")
SIZE, COUNT, PART = 8, 90, 20


@pytest.fixture(scope="module")
def gallery():
    """Nine people and five cameras; some of the entries show nobody who is known."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((COUNT, SIZE)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    ids = np.array(["", *map(str, range(9))])[rng.integers(0, 10, COUNT)]
    cameras = rng.integers(0, 5, COUNT).astype(str)
    names = np.array([f"{number}.png" for number in range(COUNT)])
    return Gallery("a network", rows, names, ids, cameras, np.full(COUNT, "visible"))


@pytest.fixture(scope="module")
def embedded(gallery, tmp_path_factory):
    """What ``embed_in_bulk`` would write of it."""
    folder = tmp_path_factory.mktemp("parts") / "g.parquet"
    folder.mkdir()
    for number, start in enumerate(range(0, COUNT, PART)):
        part = gallery[np.arange(start, min(start + PART, COUNT))]
        columns = part.names, part.ids, part.cameras, part.modalities
        texts = {
            name: column.tolist()
            for name, column in zip(("path", "id", "camera", "modality"), columns, strict=True)
        }
        write_part(part_file(folder, number), texts, part.embeddings, {})
    counts = {"size": SIZE, "images": COUNT, "rows": COUNT, "parts": number + 1}
    write_json(folder / MANIFEST, {"network": "a network", "refused": [], **counts})
    return folder


@pytest.mark.parametrize("rule", ["market", "regdb"])
def test_it_is_the_ranking_of_the_whole(gallery, embedded, tmp_path, rule):
    """Entries that show nobody known are in the way, and are no queries."""
    query = gallery[np.arange(30)]
    query.save(tmp_path / "q.npz")
    found = rank_in_bulk(tmp_path / "q.npz", embedded, rule, progress=False)
    known = query.ids != ""
    ids = np.where(gallery.ids == "", "nobody", gallery.ids)
    cameras = query.cameras[known].astype(int), gallery.cameras.astype(int)
    distances = -query.scores(gallery.embeddings).T[known]
    wanted = rank(distances, query.ids[known], ids, *cameras, rule)
    assert found.values["rank1"] == wanted.cmc[0] and found.values["rank20"] == wanted.cmc[19]
    assert found.values["mAP"] == pytest.approx(wanted.mean_ap, abs=1e-12)
    assert found.values["mINP"] == pytest.approx(wanted.mean_inp, abs=1e-12)
    assert found.queries.absent == (~known).sum()


def test_queries_that_were_written_anew_are_read_anew(gallery, embedded, tmp_path):
    found = []
    for some in (np.arange(30), np.arange(30, 60)):
        gallery[some].save(tmp_path / "q.npz")
        found.append(rank_in_bulk(tmp_path / "q.npz", embedded, progress=False).values)
    assert found[0] != found[1]


def test_the_command_prints_a_table(embedded, capsys):
    """The gallery may be its own query: ``market`` hides an image from itself."""
    cmnas.run("rank", ["", f"--query={embedded}", f"--gallery={embedded}"])
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == ["Rank-1", "Rank-5", "Rank-10", "Rank-20", "mAP", "mINP", "trials"]
    assert printed[2].startswith(str(embedded)) and printed[3].startswith(f"{COUNT} queries, ")
    found = rank_in_bulk(embedded, embedded, progress=False)
    assert f"{100 * found.values['mAP']:.2f}" in printed[2].split()
    assert str(found.queries) == printed[3]


def test_bad_input(gallery, embedded, tmp_path):
    other = Gallery(**{**vars(gallery), "network": "another"})
    other.save(tmp_path / "other.npz")
    gallery[np.zeros(COUNT, bool)].save(tmp_path / "none.npz")
    gallery[gallery.ids == ""].save(tmp_path / "nobody.npz")
    for query, answers, rule, message in (
        (tmp_path / "other.npz", embedded, "market", r"other\.npz was made by another network"),
        (tmp_path / "no.npz", embedded, "market", r"no\.npz is no gallery file"),
        (tmp_path / "none.npz", embedded, "market", r"none\.npz has no entries"),
        (tmp_path / "nobody.npz", embedded, "market", "No query has a match"),
        (embedded, tmp_path / "no.parquet", "market", r"no\.parquet holds no embeddings, or not"),
        (embedded, embedded, "llcm", "rule='llcm' is not allowed; it must be one of regdb, market"),
    ):
        with pytest.raises(BadInput, match=message):
            rank_in_bulk(query, answers, rule, progress=False)
