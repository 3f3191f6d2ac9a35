"""Which queries count: by labels alone, against a loop and against the ranking itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmnas_tf.data.camera_rules import RULES, QueryCounts
from cmnas_tf.errors import BadInput
from cmnas_tf.retrieval import rank

SIDE = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 4)), min_size=1, max_size=12)


@given(SIDE, SIDE, st.sampled_from(sorted(RULES)))
def test_they_are_those_that_a_ranking_counts(query, gallery, rule):
    """Absent is who is nowhere in the gallery; of the rest, those are hidden that see no match."""
    expected = {"counted": 0, "absent": 0, "hidden": 0}
    for pid, camera in query:
        matches = [other for identity, other in gallery if identity == pid]
        seen = [
            other
            for other in matches
            if not (rule == "sysu" and (camera, other) == (3, 2))
            and not (rule in ("llcm", "market") and camera == other)
        ]
        expected["counted" if seen else "hidden" if matches else "absent"] += 1
    (ids, cameras), (gallery_ids, gallery_cameras) = (np.array(side).T for side in (query, gallery))
    labels = ids, gallery_ids, cameras, gallery_cameras
    found = QueryCounts.of(*labels, rule)
    assert found == QueryCounts(**expected, rule=rule)
    assert found.skipped == len(query) - found.counted
    distances = np.zeros((len(query), len(gallery)))
    if found.counted:
        ranked = rank(distances, *labels, rule).average_precisions
        assert np.isfinite(ranked).sum() == found.counted
    else:
        with pytest.raises(BadInput, match=f"No query has a match .*Received: {found};"):
            rank(distances, *labels, rule)


@pytest.mark.parametrize(
    ("counts", "cause"),
    [
        (QueryCounts(0, 4, 0, "regdb"), "come from the same test set and that identities are raw"),
        (QueryCounts(0, 0, 4, "market"), r"number the cameras apart.*camera_rule=False"),
        (QueryCounts(0, 3, 1, "llcm"), "number the cameras apart"),
    ],
)
def test_the_cause_is_named_where_none_counts(counts, cause):
    with pytest.raises(BadInput, match=cause):
        counts.require_any()


def test_one_is_enough():
    assert QueryCounts(1, 3, 0, "sysu").require_any() is None


def test_in_words():
    assert str(QueryCounts(16, 0, 0, "sysu")) == "16 queries, 16 count"
    assert str(QueryCounts(12, 1, 3, "sysu")) == (
        "16 queries, 12 count, 1 show people who are not in the gallery, 3 show people who are in "
        "the gallery only from camera 2, which queries of camera 3 do not see"
    )
