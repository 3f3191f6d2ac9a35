"""CMC, mAP and mINP: worked by hand, against released programs, and against a loop per query."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmnas_tf.errors import BadInput
from cmnas_tf.retrieval import Ranking, rank, rank_embeddings, ranking

PROTOCOLS = ("sysu", "regdb", "llcm", "market")


def by_loop(distances, query_ids, gallery_ids, query_cameras, gallery_cameras, protocol, max_rank):
    """The protocols as they are told, one query after the other; also which queries count."""
    columns = len(set(gallery_ids)) if protocol in ("sysu", "llcm") else len(gallery_ids)
    length = min(max_rank, columns)
    curves, precisions, penalties, counted = [], [], [], []
    for row, identity, camera in zip(distances, query_ids, query_cameras, strict=True):
        seen = []
        for place in sorted(range(len(row)), key=lambda place: (row[place], place)):
            same_camera = camera == gallery_cameras[place]
            if protocol == "sysu" and camera == 3 and gallery_cameras[place] == 2:
                continue
            if protocol in ("llcm", "market") and gallery_ids[place] == identity and same_camera:
                continue
            seen.append(gallery_ids[place])
        counted.append(identity in seen)
        if not counted[-1]:
            continue
        hits = [position for position, other in enumerate(seen, start=1) if other == identity]
        precisions.append(np.mean([n / position for n, position in enumerate(hits, start=1)]))
        penalties.append(len(hits) / hits[-1])
        if protocol in ("sysu", "llcm"):
            seen = list(dict.fromkeys(seen))
        curves.append([identity in seen[:k] for k in range(1, length + 1)])
    if not curves:
        return None, counted
    return (np.mean(curves, axis=0), np.mean(precisions), np.mean(penalties)), counted


def assert_equal(actual, expected, tolerance=1e-12):
    assert isinstance(actual, Ranking)
    means = actual.cmc, actual.mean_ap, actual.mean_inp
    for value, right in zip(means, expected[:3], strict=True):
        np.testing.assert_allclose(value, right, rtol=0, atol=tolerance)


# A gallery in the order of its distance to a query of identity 1.
IDS, CAMERAS = [2, 2, 1, 3, 1, 4], [1, 2, 2, 2, 1, 5]


@pytest.mark.parametrize(
    ("protocol", "camera", "cmc", "mean_ap", "mean_inp"),
    [
        ("regdb", 3, [0, 0, 1, 1, 1, 1], (1 / 3 + 2 / 5) / 2, 2 / 5),
        ("sysu", 3, [0, 1, 1, 1], 1 / 2, 1 / 2),
        ("sysu", 6, [0, 1, 1, 1], (1 / 3 + 2 / 5) / 2, 2 / 5),
        ("market", 2, [0, 0, 0, 1, 1, 1], 1 / 4, 1 / 4),
        ("llcm", 2, [0, 0, 1, 1], 1 / 4, 1 / 4),
    ],
)
def test_hand_worked(protocol, camera, cmc, mean_ap, mean_inp):
    """Identity 1 in the list 2, 2, 1, 3, 1, 4.

    regdb: nothing is dropped, hits at 3 and 5. sysu, camera 3: camera 2 is dropped, which leaves
    2, 1, 4, a hit at 2. sysu, camera 6: hits at 3 and 5, but 1 is the second identity. market,
    camera 2: identity 1 of camera 2 is dropped, which leaves 2, 2, 3, 1, 4, a hit at 4. llcm: the
    same list, where 1 is the third identity after 2 and 3. The second query, identity 9, is on no
    gallery image and must change nothing.
    """
    distances = [[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]] * 2
    actual = rank(distances, [1, 9], IDS, [camera] * 2, CAMERAS, protocol)
    assert_equal(actual, (cmc, mean_ap, mean_inp))
    assert np.isfinite(actual.average_precisions).sum() == 1
    np.testing.assert_allclose(actual.average_precisions, [mean_ap, np.nan], rtol=1e-12)


def test_equal_distances_rank_in_gallery_order():
    """Everything is equally far: identity 1 stands at 2 and 3 of 2, 1, 1."""
    expected = [0, 1, 1], (1 / 2 + 2 / 3) / 2, 2 / 3
    assert_equal(rank(np.zeros((1, 3)), [1], [2, 1, 1], [1], [2, 2, 2], "regdb"), expected)


@pytest.mark.parametrize("size", ["small", "medium"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_equals_the_released_programs(goldens, size, protocol):
    golden = goldens.load("retrieval.npz")
    cameras = "cam_overlap" if protocol in ("llcm", "market") else "cam"
    labels = [
        golden[f"{size}/{name}"]
        for name in ("query_id", "gallery_id", f"query_{cameras}", f"gallery_{cameras}")
    ]
    query, gallery = golden[f"{size}/query"], golden[f"{size}/gallery"]
    for actual in (
        rank(-(query @ gallery.T), *labels, protocol),
        rank_embeddings(query, gallery, *labels, protocol, block=7),
    ):
        assert actual.cmc.shape == golden[f"{size}/{protocol}_cmc"].shape
        np.testing.assert_allclose(actual.cmc, golden[f"{size}/{protocol}_cmc"], atol=1e-6)
        np.testing.assert_allclose(actual.mean_ap, golden[f"{size}/{protocol}_map"], atol=1e-6)
        if protocol != "market":  # torchreid has no mINP
            np.testing.assert_allclose(
                actual.mean_inp, golden[f"{size}/{protocol}_minp"], atol=1e-6
            )


@st.composite
def tables(draw):
    """Small embeddings of small whole numbers (many ties, exact distances) with labels."""
    queries, gallery = draw(st.integers(1, 7)), draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    people, cameras = draw(st.integers(1, 5)), draw(st.integers(1, 6))
    spread = draw(st.sampled_from([1, 3, 1000]))
    dtype = draw(st.sampled_from([np.float32, np.float64, np.int64]))
    embeddings = rng.integers(-spread, spread, (queries + gallery, 3), endpoint=True).astype(dtype)
    ids = rng.integers(0, people, queries + gallery)
    where = rng.integers(1, cameras, queries + gallery, endpoint=True)
    labels = ids[:queries], ids[queries:], where[:queries], where[queries:]
    return embeddings[:queries], embeddings[queries:], labels, draw(st.sampled_from(PROTOCOLS))


@settings(max_examples=300, deadline=None)
@given(tables(), st.integers(1, 15), st.integers(1, 8), st.sampled_from([1, 20, 2**18]))
def test_equals_the_loop(table, max_rank, block, elements):
    query, gallery, labels, protocol = table
    distances = -(query @ gallery.T)
    expected, counted = by_loop(distances.tolist(), *labels, protocol, max_rank)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "_BLOCK_ELEMENTS", elements)
        if expected is None:
            with pytest.raises(BadInput, match="No query has a match"):
                rank(distances, *labels, protocol, max_rank)
            return
        actual = rank(distances, *labels, protocol, max_rank)
        assert_equal(actual, expected)
        assert np.isfinite(actual.average_precisions).sum() == sum(counted)
        assert np.nanmean(actual.average_precisions) == pytest.approx(actual.mean_ap, abs=1e-12)
        assert_equal(rank_embeddings(query, gallery, *labels, protocol, max_rank, block), expected)


@pytest.mark.parametrize("levels", [3, 100])
@pytest.mark.parametrize("people", [9, 150])
def test_many_ties_in_a_long_gallery(levels, people):
    """Long enough for NumPy's unstable sort to disturb the order of equal distances."""
    rng = np.random.default_rng(0)
    distances = rng.integers(0, levels, (9, 400)).astype(np.float32)
    ids = [rng.integers(0, people, n) for n in (9, 400)]
    labels = ids + [rng.integers(1, 7, n) for n in (9, 400)]
    for protocol in PROTOCOLS:
        expected, _ = by_loop(distances.tolist(), *labels, protocol, 20)
        assert_equal(rank(distances, *labels, protocol), expected)


def test_float64_distances_are_not_rounded():
    """1e8 + 1 and 1e8 are one number in float32; in float64 identity 1 comes first."""
    distances = np.array([[1e8 + 1, 1e8]])
    actual = rank(distances, [1], [2, 1], [1], [1, 1], "regdb")
    assert_equal(actual, ([1, 1], 1, 1))


def test_nan_is_named():
    distances = np.zeros((3, 2))
    distances[2, 1] = np.nan
    with pytest.raises(BadInput, match="nan between query 2 and gallery image 1"):
        rank(distances, [1, 1, 1], [1, 2], [1, 1, 1], [1, 2], "regdb")


GOOD = {
    "distances": np.zeros((2, 3)),
    "query_ids": [1, 2],
    "gallery_ids": [1, 2, 3],
    "query_cameras": [3, 6],
    "gallery_cameras": [1, 1, 1],
    "protocol": "sysu",
}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"protocol": "SYSU"}, "protocol must be one of .*'sysu'.* Received: 'SYSU'"),
        ({"max_rank": 0}, "max_rank must be at least 1"),
        ({"distances": np.full((2, 3), np.inf)}, "finite.*inf between query 0 and gallery image 0"),
        ({"distances": np.zeros((3, 2))}, r"here \(2, 3\).* Received: shape \(3, 2\)"),
        ({"distances": np.zeros((1, 3))}, r"Received: shape \(1, 3\)"),
        ({"distances": np.zeros((3, 3))}, r"Received: shape \(3, 3\)"),
        ({"distances": np.zeros(3)}, r"here \(2, 3\)"),
        ({"distances": np.zeros((2, 3), complex)}, "real numbers"),
        ({"query_cameras": [3]}, r"query_ids and query_cameras.*\(2,\) and \(1,\)"),
        ({"gallery_ids": [[1, 2, 3]]}, "gallery_ids and gallery_cameras"),
        ({"gallery_ids": [], "gallery_cameras": []}, "one or more images"),
        ({"gallery_ids": [7, 8, 9]}, "No query has a match in the gallery under .*'sysu'"),
    ],
)
def test_bad_input(wrong, message):
    rank(**GOOD)
    with pytest.raises(BadInput, match=message):
        rank(**{**GOOD, **wrong})


@pytest.mark.parametrize(
    ("query", "gallery", "block", "message"),
    [
        (np.zeros((2, 4)), np.zeros((3, 5)), 1, r"of one size.*\(2, 4\) and \(3, 5\)"),
        (np.zeros(4), np.zeros((3, 4)), 1, "of one size"),
        (np.zeros((2, 4)), np.zeros((3, 4)), 0, "block must be at least 1"),
    ],
)
def test_bad_embeddings(query, gallery, block, message):
    with pytest.raises(BadInput, match=message):
        rank_embeddings(query, gallery, [1, 2], [1, 2, 3], [3, 6], [1, 1, 1], "sysu", block=block)


@given(st.integers(1, 5), st.integers(1, 40), st.integers(1, 9), st.data())
def test_lower_bounds_are_those_of_each_row(rows, columns, values, data):
    """Of rows of any length, with equal elements among them, against NumPy row by row."""
    table = st.lists(st.integers(0, values), min_size=columns, max_size=columns)
    ordered = np.sort(data.draw(st.lists(table, min_size=rows, max_size=rows)), axis=1)
    asked = np.repeat(np.arange(rows), columns)
    found = ranking._lower_bounds(ordered, asked, ordered.ravel())
    expected = [row.searchsorted(row) + i * columns for i, row in enumerate(ordered)]
    np.testing.assert_array_equal(found, np.concatenate(expected))
