"""A gallery in parts is ranked as it is in one piece, wherever it is cut."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmnas_tf.data.camera_rules import QueryCounts
from cmnas_tf.errors import BadInput
from cmnas_tf.retrieval import rank, ranking_in_parts
from cmnas_tf.retrieval.ranking_in_parts import PART_RULES, Entries, Matches, RankedPart, ranking_of


def rank_cut(part, cuts=(), max_rank=20):
    """Ranks a gallery cut at some places; the later parts come first."""
    bounds = [0, *sorted(cuts), len(part.gallery.ids)]
    parts = [
        replace(part, gallery=Entries(*(each[start:end] for each in part.gallery)), start=start)
        for start, end in zip(bounds[-2::-1], bounds[:0:-1], strict=True)
    ]
    matches, here = zip(*(each.matches() for each in parts), strict=True)
    joined = Matches.joined(matches)
    before = sum(each.before(joined) for each in parts)
    return ranking_of(joined, before, np.any(here, axis=0), part.rule, max_rank)


def images(embeddings, ids, cameras):
    """Each embedding a number, or a row of them."""
    rows = np.asarray(embeddings, np.float32).reshape(len(ids), -1)
    return Entries(rows, np.array(ids).astype(str), np.array(cameras).astype(str))


def test_hand_worked():
    """Identity 1 in the list 2, 2, 1, 3, 1, 4, of which ``market`` hides the 1 of camera 2.

    Hits at 3 and 5 without a rule; with it 2, 2, 3, 1, 4 are left, a hit at 4. The second query is
    of nobody, the third of somebody who is only in the first one's way.
    """
    query = images([1, 1, 1], ids=["1", "", "9"], cameras=["2", "2", "2"])
    ids, cameras = ["2", "2", "1", "3", "1", "4"], ["1", "2", "2", "2", "1", ""]
    part = RankedPart(query, images([6, 5, 4, 3, 2, 1], ids, cameras), "regdb")
    for cuts in ((), (3,), (2, 3), (1, 2, 3, 4, 5)):
        found, counts = rank_cut(part, cuts, max_rank=6)
        assert found.cmc.tolist() == [0, 0, 1, 1, 1, 1]
        assert found.mean_ap == pytest.approx((1 / 3 + 2 / 5) / 2, abs=1e-12)
        assert found.mean_inp == pytest.approx(2 / 5, abs=1e-12)
        assert np.isfinite(found.average_precisions).tolist() == [True, False, False]
        assert counts == QueryCounts(1, 2, 0, "regdb")
        found, _ = rank_cut(replace(part, rule="market"), cuts, max_rank=6)
        assert found.cmc.tolist() == [0, 0, 0, 1, 1, 1]
        assert found.mean_ap == pytest.approx(1 / 4, abs=1e-12)


def test_what_is_not_known_is_equal_to_nothing():
    """Without an identity it is nobody; without a camera it is nobody's own camera."""
    query = images([1, 1], ids=["", "1"], cameras=["1", ""])
    gallery = images([3, 2, 1], ids=["", "1", "1"], cameras=["2", "", "2"])
    found, counts = rank_cut(RankedPart(query, gallery, "market"), (1,))
    assert counts == QueryCounts(1, 1, 0, "market")
    assert found.average_precisions[1] == pytest.approx((1 / 2 + 2 / 3) / 2, abs=1e-12)


@st.composite
def galleries(draw):
    """Embeddings of small whole numbers, many distances equal, and where they are cut."""
    queries, gallery = draw(st.integers(1, 7)), draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    spread = draw(st.sampled_from([1, 3, 1000]))
    embeddings = rng.integers(-spread, spread, (queries + gallery, 3), endpoint=True)
    ids = rng.integers(0, draw(st.integers(1, 5)), queries + gallery)
    cameras = rng.integers(0, draw(st.integers(1, 6)), queries + gallery)
    columns = (np.split(each, [queries]) for each in (embeddings.astype(np.float32), ids, cameras))
    return *columns, draw(st.lists(st.integers(0, gallery), max_size=4))


@settings(max_examples=200, deadline=None)
@given(galleries(), st.sampled_from(PART_RULES), st.integers(1, 15), st.sampled_from([1, 2, 256]))
def test_equals_the_gallery_in_one_piece(gallery, rule, max_rank, block):
    (query, answers), ids, cameras, cuts = gallery
    sides = map(images, (query, answers), ids, cameras)
    part, labels = RankedPart(*sides, rule), (*ids, *cameras)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking_in_parts, "_QUERIES", block)
        counts = QueryCounts.of(*labels, rule)
        if not counts.counted:
            with pytest.raises(BadInput, match="No query has a match"):
                rank_cut(part, cuts)
            return
        found, counted = rank_cut(part, cuts, max_rank)
    assert counted == counts
    wanted = rank(-(query @ answers.T), *labels, rule, max_rank)
    np.testing.assert_array_equal(found.cmc[: len(wanted.cmc)], wanted.cmc)
    assert (found.cmc[len(wanted.cmc) :] == 1).all()  # everybody is found by the gallery's end
    np.testing.assert_array_equal(found.average_precisions, wanted.average_precisions)
    for each in ("mean_ap", "mean_inp"):
        assert getattr(found, each) == pytest.approx(getattr(wanted, each), abs=1e-12)


def test_a_cut_changes_no_bit():
    """Of embeddings as they are, in float32, some of them twice; near those of one piece."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((420, 64)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    query, answers = np.split(np.concatenate([rows[:20], rows]), [20])
    ids, cameras = rng.integers(0, 9, 440), rng.integers(0, 4, 440)
    labels = (ids[:20], ids[20:], cameras[:20], cameras[20:])
    sides = images(query, ids[:20], cameras[:20]), images(answers, ids[20:], cameras[20:])
    part = RankedPart(*sides, "market")
    whole, _ = rank_cut(part)
    cut, _ = rank_cut(part, (1, 7, 100, 333))
    for one, other in zip(whole, cut, strict=True):
        np.testing.assert_array_equal(one, other)
    wanted = rank(-(query.astype(np.float64) @ answers.T).astype(np.float32), *labels, "market")
    np.testing.assert_array_equal(whole.average_precisions, wanted.average_precisions)


def test_bad_input():
    one, other = images([[1, 2]], [1], [1]), images([1], [1], [1])
    for sides, rule, message in (
        ((one, images([[1, np.nan]], [1], [1])), "market", "Embeddings must be finite"),
        ((one, one), "sysu", "rule='sysu' is not allowed; it must be one of regdb, market"),
        ((one, other), "market", r"embeddings of one size.* \(1, 2\) and \(1, 1\)"),
    ):
        with pytest.raises(BadInput, match=message):
            RankedPart(*sides, rule)
