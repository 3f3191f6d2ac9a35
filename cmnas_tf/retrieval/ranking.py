"""Ranking measures of person re-identification: CMC, mAP and mINP under a protocol's camera rule.

For every query the gallery is sorted by distance, the images that the protocol's rule drops are
taken out, and what is left is compared with the query's identity. Everything is done for a block of
queries at once, so that a gallery of any size is ranked in bounded memory.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cmnas_tf.errors import BadInput

# Distances worked on at once: the arrays made from this many still fit into a core's cache.
_BLOCK_ELEMENTS = 2**18


class Ranking(NamedTuple):
    """How well a gallery was ranked; every value is a mean over the queries that count.

    Attributes:
      cmc: [R] float64 in 0..1; ``cmc[k - 1]`` is Rank-k, the part of the queries whose identity is
        among the first k.
      mean_ap: mean average precision, 0..1.
      mean_inp: mean inverse negative penalty, 0..1.
    """

    cmc: np.ndarray
    mean_ap: float
    mean_inp: float


@dataclass(frozen=True)
class Rule:
    """What a protocol asks of a ranking.

    Attributes:
      drops: which gallery images a query must not see: a function of ``same_identity`` [B, G],
        ``query_cameras`` [B, 1] and ``gallery_cameras`` [G] that gives a boolean [B, G].
      counts_identities: whether Rank-k means the first k identities (each stands where its best
        image stands) instead of the first k images.
    """

    drops: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    counts_identities: bool


def _nothing(same_identity, query_cameras, gallery_cameras):
    return np.zeros_like(same_identity)


def _camera_2_for_camera_3(same_identity, query_cameras, gallery_cameras):
    return (query_cameras == 3) & (gallery_cameras == 2)  # these two look into the same room


def _own_camera(same_identity, query_cameras, gallery_cameras):
    return same_identity & (query_cameras == gallery_cameras)


RULES = {
    "sysu": Rule(drops=_camera_2_for_camera_3, counts_identities=True),
    "regdb": Rule(drops=_nothing, counts_identities=False),
    "llcm": Rule(drops=_own_camera, counts_identities=True),
    "market": Rule(drops=_own_camera, counts_identities=False),
}


def rank(
    distances: np.ndarray,
    query_ids: np.ndarray,
    gallery_ids: np.ndarray,
    query_cameras: np.ndarray,
    gallery_cameras: np.ndarray,
    protocol: str,
    max_rank: int = 20,
) -> Ranking:
    """Ranks a gallery for every query by a table of distances.

    Equal distances are ranked in the order of the gallery. A query that has no match left in the
    gallery is skipped (:func:`has_match` tells which). The average precision of a query is the mean
    of the precisions at its matches; its inverse negative penalty is the number of its matches over
    the position of the last one (Ye et al., "Deep Learning for Person Re-identification: A Survey
    and Outlook", section 3.5).

    Args:
      distances: [Q, G] finite numbers, smaller is more alike.
      query_ids: [Q] identities.
      gallery_ids: [G] identities.
      query_cameras: [Q] camera numbers.
      gallery_cameras: [G] camera numbers.
      protocol: ``"sysu"``: queries of camera 3 do not see gallery images of camera 2; Rank-k counts
        identities. ``"regdb"``: no rule; counts images. ``"llcm"``: a query does not see images of
        its own identity from its own camera; counts identities. ``"market"``: the same, but counts
        images. As in the released code of CM-NAS, LLCM and torchreid.
      max_rank: the longest CMC that is wanted.

    Returns:
      The ranking; its CMC has ``max_rank`` entries, or as many as the gallery has identities (or
      images, where these are counted) if that is less.

    Raises:
      BadInput: if shapes do not belong together, a distance is not finite, the protocol is unknown,
        or no query has a match.
    """
    labels = query_ids, gallery_ids, query_cameras, gallery_cameras
    return rank_blocks([distances], *labels, protocol, max_rank)


def rank_embeddings(
    query: np.ndarray,
    gallery: np.ndarray,
    query_ids: np.ndarray,
    gallery_ids: np.ndarray,
    query_cameras: np.ndarray,
    gallery_cameras: np.ndarray,
    protocol: str,
    max_rank: int = 20,
    block: int = 256,
) -> Ranking:
    """Ranks by minus the dot product of embeddings, never holding more than a block of distances.

    Args:
      query: [Q, D] embeddings, L2-normalised by the caller where cosine similarity is meant.
      gallery: [G, D] embeddings.
      query_ids: [Q], as the other labels see :func:`rank`.
      gallery_ids: [G].
      query_cameras: [Q].
      gallery_cameras: [G].
      protocol: see :func:`rank`.
      max_rank: see :func:`rank`.
      block: number of queries whose distances are held at once.

    Returns:
      See :func:`rank`.

    Raises:
      BadInput: see :func:`rank`.
    """
    query, gallery = np.asarray(query), np.asarray(gallery)
    if query.ndim != 2 or gallery.ndim != 2 or query.shape[1] != gallery.shape[1]:
        raise BadInput(
            "query and gallery must be embeddings of one size, [Q, D] and [G, D]. "
            f"Received: {query.shape} and {gallery.shape}"
        )
    if block < 1:
        raise BadInput(f"block must be at least 1 query. Received: {block}")
    dtype = np.result_type(query, gallery, np.float32)
    query, transposed = query.astype(dtype, copy=False), gallery.astype(dtype, copy=False).T
    blocks = (-(query[i : i + block] @ transposed) for i in range(0, len(query), block))
    labels = query_ids, gallery_ids, query_cameras, gallery_cameras
    return rank_blocks(blocks, *labels, protocol, max_rank)


def rank_blocks(
    blocks: Iterable[np.ndarray],
    query_ids: np.ndarray,
    gallery_ids: np.ndarray,
    query_cameras: np.ndarray,
    gallery_cameras: np.ndarray,
    protocol: str,
    max_rank: int = 20,
) -> Ranking:
    """Ranks by distances that arrive in blocks of rows, in the order of the queries.

    Args:
      blocks: arrays [B, G] of distances, [Q, G] all together; each is let go before the next.
      query_ids: [Q], as the other labels see :func:`rank`.
      gallery_ids: [G].
      query_cameras: [Q].
      gallery_cameras: [G].
      protocol: see :func:`rank`.
      max_rank: see :func:`rank`.

    Returns:
      See :func:`rank`.

    Raises:
      BadInput: see :func:`rank`.
    """
    rule = _rule(protocol)
    if max_rank < 1:
        raise BadInput(f"max_rank must be at least 1. Received: {max_rank}")
    query_ids, gallery_ids, query_cameras, gallery_cameras = _labels(
        query_ids, gallery_ids, query_cameras, gallery_cameras
    )
    identities, identity_of = np.unique(gallery_ids, return_inverse=True)
    by_identity = np.argsort(identity_of, kind="stable")  # [G]
    starts = np.searchsorted(identity_of[by_identity], np.arange(len(identities)))
    candidates = identities if rule.counts_identities else gallery_ids

    found_at = np.zeros(min(max_rank, len(candidates)))  # queries whose identity stands at rank k
    precision = penalty = 0.0
    queries = seen = 0
    for distances in _small_blocks(blocks, len(query_ids), len(gallery_ids)):
        rows = slice(seen, seen + len(distances))
        seen = rows.stop
        same = query_ids[rows, None] == gallery_ids  # [B, G]
        dropped = rule.drops(same, query_cameras[rows, None], gallery_cameras)
        matches = same & ~dropped
        counts = np.count_nonzero(matches, axis=1)
        counted = counts > 0
        if not counted.any():
            continue
        counts, matches = counts[counted], matches[counted]
        order, hits = _sort(np.where(dropped, np.inf, distances)[counted], matches)

        row, position = np.nonzero(hits)  # positions from 0, row after row
        first = np.cumsum(counts) - counts  # where each row's hits begin
        precision_at = (np.arange(len(row)) - first[row] + 1) / (position + 1)
        precision += float(np.sum(np.add.reduceat(precision_at, first) / counts))
        penalty += float(np.sum(counts / (position[first + counts - 1] + 1)))
        queries += len(counts)

        best = position[first]  # [B]
        if rule.counts_identities:
            places = np.empty_like(order)
            np.put_along_axis(places, order, np.arange(len(gallery_ids))[None], axis=1)
            leaders = np.minimum.reduceat(places[:, by_identity], starts, axis=1)
            best = np.count_nonzero(leaders < best[:, None], axis=1)
        found_at += np.bincount(best, minlength=len(found_at))[: len(found_at)]

    if not queries:
        raise BadInput(
            f"No query has a match in the gallery under the protocol {protocol!r}, so there is "
            f"nothing to rank. Received: {len(query_ids)} queries of {len(np.unique(query_ids))} "
            f"identities, a gallery of {len(identities)} identities; check that both come from the "
            "same test set and that identities are raw ones, not labels"
        )
    return Ranking(np.cumsum(found_at) / queries, precision / queries, penalty / queries)


def has_match(
    query_ids: np.ndarray,
    gallery_ids: np.ndarray,
    query_cameras: np.ndarray,
    gallery_cameras: np.ndarray,
    protocol: str,
) -> np.ndarray:
    """Which queries count, [Q] bool: those with a gallery image of their identity not dropped.

    Args:
      query_ids: [Q], as the other labels see :func:`rank`.
      gallery_ids: [G].
      query_cameras: [Q].
      gallery_cameras: [G].
      protocol: see :func:`rank`.

    Returns:
      [Q] bool; :func:`rank` skips the queries that are False.

    Raises:
      BadInput: if shapes do not belong together or the protocol is unknown.
    """
    rule = _rule(protocol)
    query_ids, gallery_ids, query_cameras, gallery_cameras = _labels(
        query_ids, gallery_ids, query_cameras, gallery_cameras
    )
    matched = np.empty(len(query_ids), dtype=bool)
    step = max(1, _BLOCK_ELEMENTS // len(gallery_ids))
    for start in range(0, len(query_ids), step):
        rows = slice(start, start + step)
        same = query_ids[rows, None] == gallery_ids
        dropped = rule.drops(same, query_cameras[rows, None], gallery_cameras)
        matched[rows] = (same & ~dropped).any(axis=1)
    return matched


def _sort(distances: np.ndarray, matches: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The columns of each row by distance, and which of these are matches: [B, G] each.

    Ties that a match takes part in keep the order of the gallery; others change no measure. NumPy's
    unstable sort is several times faster than its stable one on processors with AVX-512, so only
    the few rows with such ties are sorted by the latter.
    """
    order = np.argsort(distances, axis=1)
    hits = np.take_along_axis(matches, order, axis=1)
    ordered = np.take_along_axis(distances, order, axis=1)
    ties = (ordered[:, 1:] == ordered[:, :-1]) & (hits[:, 1:] | hits[:, :-1])
    again = ties.any(axis=1)
    order[again] = np.argsort(distances[again], axis=1, kind="stable")
    hits[again] = np.take_along_axis(matches[again], order[again], axis=1)
    return order, hits


def _small_blocks(blocks: Iterable[np.ndarray], queries: int, gallery: int) -> Iterator[np.ndarray]:
    """The rows of ``blocks``, checked, in blocks [B, G] of about ``_BLOCK_ELEMENTS`` distances."""
    seen = 0
    step = max(1, _BLOCK_ELEMENTS // gallery)
    for block in map(np.asarray, blocks):
        shape = (seen + len(block), *block.shape[1:]) if block.ndim else ()
        if block.ndim != 2 or block.shape[1] != gallery or seen + len(block) > queries:
            raise BadInput(_wrong_shape(shape, queries, gallery))
        if block.dtype.kind not in "iuf":
            raise BadInput(f"distances must be real numbers. Received: dtype {block.dtype}")
        for start in range(0, len(block), step):
            distances = block[start : start + step]
            if block.dtype.kind != "f":
                distances = distances.astype(np.float64)
            finite = np.isfinite(distances)
            if not finite.all():
                row, column = np.argwhere(~finite)[0]
                raise BadInput(
                    "distances must be finite: a network that gives NaN or infinite embeddings "
                    f"cannot be ranked. Received: {distances[row, column]} between query "
                    f"{seen + start + row} and gallery image {column}"
                )
            yield distances
        seen += len(block)
    if seen != queries:
        raise BadInput(_wrong_shape((seen, gallery), queries, gallery))


def _wrong_shape(shape: tuple[int, ...], queries: int, gallery: int) -> str:
    return (
        f"distances must be a table [queries, gallery images], here {(queries, gallery)} by the "
        f"labels. Received: shape {shape}"
    )


def _rule(protocol: str) -> Rule:
    if protocol not in RULES:
        raise BadInput(f"protocol must be one of {sorted(RULES)}. Received: {protocol!r}")
    return RULES[protocol]


def _labels(query_ids, gallery_ids, query_cameras, gallery_cameras) -> tuple[np.ndarray, ...]:
    """The four label arrays, checked."""
    query_ids, query_cameras = np.asarray(query_ids), np.asarray(query_cameras)
    gallery_ids, gallery_cameras = np.asarray(gallery_ids), np.asarray(gallery_cameras)
    for side, ids, cameras in (
        ("query", query_ids, query_cameras),
        ("gallery", gallery_ids, gallery_cameras),
    ):
        if ids.ndim != 1 or ids.shape != cameras.shape or not len(ids):
            raise BadInput(
                f"{side}_ids and {side}_cameras must name an identity and a camera for each of one "
                f"or more images. Received: shapes {ids.shape} and {cameras.shape}"
            )
    return query_ids, gallery_ids, query_cameras, gallery_cameras
