"""Ranking the multi-shot gallery of SYSU-MM01 by its distances, against a loop over queries."""

from collections.abc import Callable

import numpy as np

from cmnas_tf.retrieval.ranking import Ranking, rank, rank_embeddings

QUERIES, GALLERY, IDENTITIES = 3803, 3010, 96
MANY, SIZE = 100_000, 512  # queries and gallery images; numbers of an embedding


def vectorised() -> Callable[[], None]:
    """As the package has it."""
    test = random_test()
    return lambda: _keep(rank(*test, "sysu"))


def of_market() -> Callable[[], None]:
    """The same distances by Market-1501's protocol, which torchreid has compiled code for."""
    test = random_test()
    return lambda: _keep(of_market_once(*test))


def of_market_once(*test: np.ndarray) -> Ranking:
    """CMC of 20 ranks, and mAP."""
    return rank(*test, "market")


def query_loop() -> Callable[[], None]:
    """As the protocol reads: one query after the other."""
    test = random_test()
    for found, expected in zip(rank_one_by_one(*test), rank(*test, "sysu")[:3], strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9)
    return lambda: _keep(rank_one_by_one(*test))


def a_hundred_thousand() -> Callable[[], None]:
    """100,000 queries in a gallery of 100,000 images, by their embeddings."""
    random = np.random.default_rng(0)
    query, gallery = (random.standard_normal((MANY, SIZE), np.float32) for _ in range(2))
    query_ids, gallery_ids = (random.integers(0, MANY // 20, MANY) for _ in range(2))
    cameras = [random.integers(1, 7, MANY) for _ in range(2)]
    return lambda: _keep(
        rank_embeddings(query, gallery, query_ids, gallery_ids, *cameras, "market")
    )


def random_test() -> tuple[np.ndarray, ...]:
    """Distances [Q, G] float32, and the four labels."""
    random = np.random.default_rng(0)
    query_ids, gallery_ids = (random.integers(0, IDENTITIES, n) for n in (QUERIES, GALLERY))
    same = query_ids[:, None] == gallery_ids
    distances = random.standard_normal((QUERIES, GALLERY)) - 2.0 * same
    return (
        distances.astype(np.float32),
        query_ids,
        gallery_ids,
        random.choice([3, 6], QUERIES),
        random.choice([1, 2, 4, 5], GALLERY),
    )


def rank_one_by_one(distances, query_ids, gallery_ids, query_cameras, gallery_cameras):
    """CMC [20], mAP and mINP by SYSU-MM01's protocol, of distances [Q, G] and the four labels."""
    cmc, precisions, penalties = np.zeros(20), [], []
    for row, pid, camera in zip(distances, query_ids, query_cameras, strict=True):
        order = np.argsort(row, kind="stable")
        if camera == 3:
            order = order[gallery_cameras[order] != 2]
        ranked = gallery_ids[order]
        hits = np.flatnonzero(ranked == pid)
        if not len(hits):
            continue
        _, first = np.unique(ranked, return_index=True)
        identities = ranked[np.sort(first)]  # each stands where its best image stands
        cmc += np.arange(20) >= np.flatnonzero(identities == pid)[0]
        precisions.append(np.mean(np.arange(1, len(hits) + 1) / (hits + 1)))
        penalties.append(len(hits) / (hits[-1] + 1))
    return cmc / len(precisions), np.mean(precisions), np.mean(penalties)


_kept: list[object] = []


def _keep(result: object) -> None:
    """Results are kept, so that nothing can be left out of computing them."""
    _kept.append(result)
