"""k-reciprocal re-ranking: worked by hand, against the released program and against loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmnas_tf.errors import BadInput
from cmnas_tf.retrieval import rank, re_rank, rerank
from cmnas_tf.retrieval.rerank import re_rank_distances, require_memory

EUCLIDEAN = "squared_euclidean"


def by_loop(embeddings, queries, k1, k2, lambda_value):
    """The paper's equations, set by set; "more than 2/3" and rounding as in the released code."""
    count = len(embeddings)
    distance = np.array([[np.sum((a - b) ** 2) for b in embeddings] for a in embeddings])
    distance = distance / distance.max(axis=1, keepdims=True)
    order = np.argsort(distance, axis=1, kind="stable")

    def reciprocal(i, k):
        return {j for j in order[i, : k + 1] if i in order[j, : k + 1]}

    encoded = np.zeros((count, count))
    for i in range(count):
        expanded = neighbours = reciprocal(i, k1)
        for j in neighbours:
            closer = reciprocal(j, int(np.around(k1 / 2)))
            if len(closer & neighbours) > 2 / 3 * len(closer):
                expanded = expanded | closer
        for j in expanded:
            encoded[i, j] = np.exp(-distance[i, j])
        encoded[i] /= encoded[i].sum()
    encoded = np.array([encoded[order[i, :k2]].mean(axis=0) for i in range(count)])

    result = np.empty((queries, count - queries))
    for q in range(queries):
        for g in range(queries, count):
            jaccard = (
                1
                - np.minimum(encoded[q], encoded[g]).sum()
                / np.maximum(encoded[q], encoded[g]).sum()
            )
            result[q, g - queries] = (1 - lambda_value) * jaccard + lambda_value * distance[q, g]
    return result


def test_hand_worked():
    """A query at 0 and a gallery at 1, 10 and 12, k1 = k2 = 1, only the Jaccard distance.

    0 and 1 are each other's nearest, and so are 10 and 12; half of k1 rounds to 0, so nobody brings
    anybody along. Squared distances over the row's largest: 0 to 1 is 1/144, 1 to 0 is 1/121. With
    a = exp(-1/144) and b = exp(-1/121) the rows are (1, a) / (1 + a) and (b, 1) / (1 + b), the
    smaller entries b / (1 + b) and a / (1 + a). Nothing is shared with 10 and 12.
    """
    a, b = np.exp(-1 / 144), np.exp(-1 / 121)
    common = a / (1 + a) + b / (1 + b)
    actual = re_rank(
        np.array([[0.0]]),
        np.array([[1.0], [10], [12]]),
        1,
        1,
        lambda_value=0,
        distance="squared_euclidean",
    )
    np.testing.assert_allclose(actual, [[1 - common / (2 - common), 1, 1]], rtol=1e-12)


def test_equals_the_released_program(goldens):
    """The program was given minus dot products as distances, and squares them."""
    golden = goldens.load("retrieval.npz")
    actual = re_rank(golden["small/query"], golden["small/gallery"])
    expected = golden["small/k_reciprocal_k1_20_k2_6_lambda_0.3"]
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 6),
    st.integers(1, 14),
    st.integers(1, 9),
    st.integers(1, 6),
    st.sampled_from([0, 0.3, 1]),
    st.integers(0, 2**32 - 1),
)
def test_equals_the_loop(queries, gallery, k1, k2, lambda_value, seed):
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((4, 5))
    people = rng.integers(0, 4, queries + gallery)
    embeddings = centres[people] + 0.5 * rng.standard_normal((len(people), 5))
    actual = re_rank(
        embeddings[:queries], embeddings[queries:], k1, k2, lambda_value, "squared_euclidean"
    )
    expected = by_loop(embeddings, queries, k1, k2, lambda_value)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-10)


def test_blocks_of_rows_join(monkeypatch):
    rng = np.random.default_rng(3)
    query, gallery = rng.standard_normal((11, 4)), rng.standard_normal((9, 4))
    whole = re_rank(query, gallery)
    monkeypatch.setattr("cmnas_tf.retrieval.rerank._BLOCK_ROWS", 2)
    np.testing.assert_array_equal(re_rank(query, gallery), whole)


def test_brings_matches_forward(goldens):
    """What re-ranking is for: mAP rises on the golden embeddings, which hold ten noisy clusters."""
    golden = goldens.load("retrieval.npz")
    query, gallery = golden["small/query"], golden["small/gallery"]
    names = ("query_id", "gallery_id", "query_cam", "gallery_cam")
    labels = [golden[f"small/{name}"] for name in names]
    before = rank(-(query @ gallery.T), *labels, "regdb").mean_ap
    assert (
        rank(re_rank(query, gallery, distance=EUCLIDEAN), *labels, "regdb").mean_ap > before + 0.03
    )


def test_identical_images_are_at_distance_0():
    twins = np.ones((2, 3), np.float32), np.ones((3, 3), np.float32)
    actual = re_rank(*twins, distance=EUCLIDEAN)
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, 0, atol=1e-6)


@pytest.mark.parametrize(
    ("query", "gallery", "settings", "message"),
    [
        (np.zeros((2, 4)), np.zeros((3, 5)), {}, r"of one size.*\(2, 4\) and \(3, 5\)"),
        (np.zeros((0, 4)), np.zeros((3, 4)), {}, "at least one query.*0 queries and 3 gallery"),
        (np.zeros((2, 4)), np.zeros((0, 4)), {}, "2 queries and 0 gallery"),
        (np.full((2, 4), np.nan), np.zeros((3, 4)), {}, "finite.*nan"),
        (np.zeros((2, 4)), np.zeros((3, 4)), {"k1": 0}, "k1=0, k2=6"),
        (np.zeros((2, 4)), np.zeros((3, 4)), {"k2": 0}, "k2=0"),
        (np.zeros((2, 4)), np.zeros((3, 4)), {"lambda_value": 1.5}, "lambda_value=1.5"),
    ],
)
def test_bad_input(query, gallery, settings, message):
    with pytest.raises(BadInput, match=message):
        re_rank(query, gallery, **settings)


def test_an_unknown_distance_is_refused():
    with pytest.raises(BadInput, match=r"squared_dot_product, squared_euclidean.*'cosine'"):
        re_rank(np.ones((1, 2)), np.ones((1, 2)), distance="cosine")


def test_negative_distances_are_refused():
    with pytest.raises(BadInput, match=r"values from -1\.0 to 1\.0"):
        re_rank_distances(1 - 2 * np.eye(3), queries=1)


def test_distances_may_be_whole_numbers():
    """With lambda 1 they are only divided by the row's largest, 9."""
    distances = np.array([[0, 1, 9], [1, 0, 4], [9, 4, 0]])
    np.testing.assert_allclose(re_rank_distances(distances, 1, 1, 1, 1), [[1 / 9, 1]])


def test_what_does_not_fit_into_memory_is_refused_before_it_is_tried(monkeypatch):
    """MSMT17: 11,659 + 82,161 images. The distances of all to all are 93,820^2 float32, those of
    the queries to the gallery 11,659 x 82,161, and 32 KiB an image are 3,074,293,760 bytes."""
    needed = 4 * (93_820**2 + 11_659 * 82_161) + 3_074_293_760
    monkeypatch.setattr(rerank, "available_memory", lambda: needed)
    require_memory(11_659, 82_161)
    monkeypatch.setattr(rerank, "available_memory", lambda: needed - 1)
    with pytest.raises(BadInput, match=f"{needed:,} bytes .* {needed - 1:,} are available"):
        require_memory(11_659, 82_161)
    with pytest.raises(BadInput, match="11,659 queries and 82,161 gallery images"):
        re_rank(np.broadcast_to(1.0, (11_659, 9)), np.broadcast_to(1.0, (82_161, 9)))
