"""Ranking measures of person re-identification: CMC, mAP and mINP under a protocol's camera rule.

For every query the gallery is sorted by distance, the images that the protocol's rule drops are
taken out, and what is left is compared with the query's identity. Everything is done for a block of
queries at once, so that a gallery of any size is ranked in bounded memory.
"""

import operator
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cmnas_tf.data.camera_rules import RULES, QueryCounts, Rule
from cmnas_tf.errors import BadInput
from cmnas_tf.machine import cores

# Distances worked on at once: the arrays made from this many still fit into a core's cache.
_BLOCK_ELEMENTS = 2**18
# More threads than cores wait for each other at the interpreter: six on two cores took a fifth
# longer than two.
_THREADS = min(4, cores())


class Ranking(NamedTuple):
    """How well a gallery was ranked; every value is a mean over the queries that count."""

    # [R] float64 in 0..1; ``cmc[k - 1]`` is Rank-k, the part of the queries whose identity is among
    # the first k.
    cmc: np.ndarray
    mean_ap: float  # mean average precision, 0..1
    mean_inp: float  # mean inverse negative penalty, 0..1
    # Of each query, [Q] float64 in 0..1; NaN for one that does not count.
    average_precisions: np.ndarray


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

    Equal distances are ranked in the order of the gallery. Queries without a match in the gallery
    are skipped. The average precision of a query is the mean of the precisions at its matches; its
    inverse negative penalty is the number of its matches over the position of the last one (Ye et
    al., "Deep Learning for Person Re-identification: A Survey and Outlook", section 3.5).

    Args:
      distances: [Q, G] finite numbers, smaller is more alike.
      query_ids, query_cameras: [Q] identities and camera numbers.
      gallery_ids, gallery_cameras: [G].
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
    """:func:`rank` by :func:`dot_product_blocks`, never holding more than a block of distances."""
    labels = query_ids, gallery_ids, query_cameras, gallery_cameras
    return rank_blocks(dot_product_blocks(query, gallery, block), *labels, protocol, max_rank)


def dot_product_blocks(
    query: np.ndarray, gallery: np.ndarray, block: int = 256
) -> Iterator[np.ndarray]:
    """Minus the dot products of embeddings, [block, G] at a time.

    Args:
      query: [Q, D] embeddings, L2-normalised by the caller where cosine similarity is meant.
      gallery: [G, D] embeddings.
      block: number of queries whose distances are held at once.

    Raises:
      BadInput: the embeddings are not of one size, or ``block`` is below 1.
    """
    query, gallery = of_one_size(query, gallery)
    if block < 1:
        raise BadInput(f"block must be at least 1 query. Received: {block}")
    dtype = np.result_type(query, gallery, np.float32)
    query, transposed = query.astype(dtype, copy=False), gallery.astype(dtype, copy=False).T
    return (-(query[i : i + block] @ transposed) for i in range(0, len(query), block))


def of_one_size(query: np.ndarray, gallery: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays; raises BadInput unless they are embeddings [Q, D] and [G, D]."""
    query, gallery = np.asarray(query), np.asarray(gallery)
    if query.ndim != 2 or gallery.ndim != 2 or query.shape[1] != gallery.shape[1]:
        raise BadInput(
            "query and gallery must be embeddings of one size, [Q, D] and [G, D]. "
            f"Received: {query.shape} and {gallery.shape}"
        )
    return query, gallery


def rank_blocks(
    blocks: Iterable[np.ndarray],
    query_ids: np.ndarray,
    gallery_ids: np.ndarray,
    query_cameras: np.ndarray,
    gallery_cameras: np.ndarray,
    protocol: str,
    max_rank: int = 20,
) -> Ranking:
    """:func:`rank` by distances that arrive in blocks of rows, in the order of the queries.

    Args:
      blocks: arrays [B, G] of distances, [Q, G] all together; each is let go before the next.
    """
    if max_rank < 1:
        raise BadInput(f"max_rank must be at least 1. Received: {max_rank}")
    query_ids, query_cameras = _labels("query", query_ids, query_cameras)
    gallery_ids, gallery_cameras = _labels("gallery", gallery_ids, gallery_cameras)
    if protocol not in RULES:
        raise BadInput(f"protocol must be one of {sorted(RULES)}. Received: {protocol!r}")
    rule, people = RULES[protocol], np.concatenate([gallery_ids, query_ids])
    numbers = np.unique(people, return_inverse=True)[1].astype(np.int32)
    of_gallery, of_queries = np.split(numbers, [len(gallery_ids)])
    candidates = np.unique(of_gallery) if rule.counts_identities else of_gallery
    gallery = _Gallery(of_gallery, gallery_cameras, rule, min(max_rank, len(candidates)))
    step = max(1, _BLOCK_ELEMENTS // len(gallery_ids))
    sums = _Sums(np.zeros(gallery.ranks))
    precisions = np.full(len(query_ids), np.nan)
    with ThreadPoolExecutor(_THREADS) as threads:  # NumPy lets the others run while it sorts
        for seen, block in _checked(blocks, len(query_ids), len(gallery_ids)):

            def measure(start: int, seen: int = seen, block: np.ndarray = block) -> _Sums:
                distances = _finite(block[start : start + step], seen + start)
                rows = slice(seen + start, seen + start + len(distances))
                found, of_each = gallery.measure(distances, of_queries[rows], query_cameras[rows])
                precisions[rows] = of_each
                return found

            for part in threads.map(measure, range(0, len(block), step)):
                sums = _Sums(*map(operator.add, sums, part))
    if not sums.queries:
        labels = query_ids, gallery_ids, query_cameras, gallery_cameras
        QueryCounts.of(*labels, protocol).require_any()
    cmc = np.cumsum(sums.found_at) / sums.queries
    means = sums.precision / sums.queries, sums.penalty / sums.queries
    return Ranking(cmc, *means, precisions)


class _Sums(NamedTuple):
    """What some queries add up to: those found at each rank, AP, INP, how many they are."""

    found_at: np.ndarray
    precision: float = 0.0
    penalty: float = 0.0
    queries: int = 0


@dataclass(frozen=True)
class _Gallery:
    """A gallery, and how it is ranked."""

    ids: np.ndarray  # of its images, numbers from 0 on, [G]
    cameras: np.ndarray  # of its images, [G]
    rule: Rule  # what a query must not see, and what is counted
    ranks: int  # length of the CMC

    def measure(
        self, distances: np.ndarray, query_ids: np.ndarray, query_cameras: np.ndarray
    ) -> tuple[_Sums, np.ndarray]:
        """Ranks the gallery for B queries by ``distances`` [B, G]; also gives their APs, [B]."""
        same = query_ids[:, None] == self.ids  # [B, G]
        dropped = self.rule.drops(same, query_cameras[:, None], self.cameras)
        matches = _true(same & ~dropped)
        queries, first, counts = np.unique(matches[0], return_index=True, return_counts=True)
        precisions = np.full(len(query_ids), np.nan)
        if not len(queries):
            return _Sums(np.zeros(self.ranks)), precisions
        kept = distances.copy()
        np.putmask(kept, dropped, np.inf)
        nearest, position, tied = _positions(kept, matches, first)
        if tied.any():
            kept[queries[tied]] = _places(kept[queries[tied]])
            nearest, position, _ = _positions(kept, matches, first)

        precision, penalty = measures_of_positions(position, first, counts)
        best = position[first]
        if self.rule.counts_identities:
            late = np.flatnonzero(best)  # something else stands before the nearest match
            best[late] = self._identities_before(nearest[late], kept[queries[late]])
        found_at = np.bincount(best, minlength=self.ranks)[: self.ranks]
        precisions[queries] = precision
        sums = _Sums(found_at, float(precision.sum()), float(penalty.sum()), len(counts))
        return sums, precisions

    def _identities_before(self, nearest: np.ndarray, distances: np.ndarray) -> np.ndarray:
        """How many identities have an image nearer than ``nearest`` [B] in ``distances`` [B, G]."""
        row, column = _true(distances < nearest[:, None])
        identities = self.ids.max() + 1
        pairs = np.unique(row * identities + self.ids[column])
        return np.bincount(pairs // identities, minlength=len(nearest))


def measures_of_positions(
    position: np.ndarray, first: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The average precision and the inverse negative penalty of N queries, each [N] float64.

    Args:
      position: [M] from 0, of all matches, query after query, ascending for each.
      first, counts: [N] where each query's begin, and how many they are.
    """
    found = np.arange(len(position)) - np.repeat(first, counts) + 1
    precision = np.add.reduceat(found / (position + 1), first) / counts
    return precision, counts / (position[first + counts - 1] + 1)


def _positions(
    distances: np.ndarray, matches: tuple[np.ndarray, np.ndarray], first: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the matches of each query stand when its row is sorted.

    Only the matches' positions count, so the distances are sorted by value and the matches looked
    up in them: several times faster than sorting the gallery's numbers by distance.

    Args:
      distances: [B, G].
      matches: rows and columns of the M matches, by rows.
      first: [N], where the matches of each of the N queries that have any begin.

    Returns:
      The nearest match's distance, [N]; the positions from 0, query after query, ascending for
      each, [M]; and the queries of which a match has the distance of another image, [N] bool,
      whose positions are not right.
    """
    ordered, own = np.sort(distances, axis=1), distances[matches]
    at = _lower_bounds(ordered, matches[0], own)
    row_starts = matches[0] * ordered.shape[1]
    following = np.minimum(at + 1, row_starts + ordered.shape[1] - 1)
    equal = (ordered.ravel()[following] == own) & (following > at)
    at.sort()
    nearest = ordered.ravel()[at[first]]
    return nearest, at - row_starts, np.logical_or.reduceat(equal, first)


def _lower_bounds(ordered: np.ndarray, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The index in ``ordered.ravel()`` of the first element of a row that is not less, [M].

    All rows are bisected at once: a call for each would keep the other threads waiting.

    Args:
      ordered: [B, G], ascending in each row.
      rows: [M].
      values: [M], each among those of its row.
    """
    flat, low = ordered.ravel(), rows * ordered.shape[1]
    remaining = ordered.shape[1] - 1  # candidates behind ``low``; none is lost if it is too large
    while remaining:
        half = (remaining + 1) // 2
        low += half * (flat[low + (half - 1)] < values)
        remaining -= half
    return low


def _true(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of what is true in ``table`` [B, G]; faster than ``np.nonzero``."""
    rows, columns = np.divmod(np.flatnonzero(table), table.shape[1])
    return rows, columns


def _places(distances: np.ndarray) -> np.ndarray:
    """Each image's place in its row, equal distances in the order of the gallery; [B, G]."""
    order = np.argsort(distances, axis=1, kind="stable")
    places = np.empty_like(order)
    np.put_along_axis(places, order, np.arange(distances.shape[1])[None], axis=1)
    return places


def _checked(
    blocks: Iterable[np.ndarray], queries: int, gallery: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Each block of distances [B, G] that has the right shape, after the number of rows before."""
    seen = 0
    for block in map(np.asarray, blocks):
        shape = (seen + len(block), *block.shape[1:]) if block.ndim else ()
        if block.ndim != 2 or block.shape[1] != gallery or seen + len(block) > queries:
            raise BadInput(_wrong_shape(shape, queries, gallery))
        if block.dtype.kind not in "iuf":
            raise BadInput(f"distances must be real numbers. Received: dtype {block.dtype}")
        yield seen, block
        seen += len(block)
    if seen != queries:
        raise BadInput(_wrong_shape((seen, gallery), queries, gallery))


def _finite(distances: np.ndarray, seen: int) -> np.ndarray:
    """``distances`` [B, G] in float32 or float64; they must be finite. ``seen``: rows before."""
    if distances.dtype not in (np.float32, np.float64):
        distances = distances.astype(np.float64)
    finite = np.isfinite(distances)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        raise BadInput(
            "distances must be finite: a network that gives NaN or infinite embeddings cannot be "
            f"ranked. Received: {distances[row, column]} between query {seen + row} and gallery "
            f"image {column}"
        )
    return distances


def _wrong_shape(shape: tuple[int, ...], queries: int, gallery: int) -> str:
    return (
        f"distances must be a table [queries, gallery images], here {(queries, gallery)} by the "
        f"labels. Received: shape {shape}"
    )


def _labels(side: str, ids: np.ndarray, cameras: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    ids, cameras = np.asarray(ids), np.asarray(cameras)
    if ids.ndim != 1 or ids.shape != cameras.shape or not len(ids):
        raise BadInput(
            f"{side}_ids and {side}_cameras must name an identity and a camera for each of one "
            f"or more images. Received: shapes {ids.shape} and {cameras.shape}"
        )
    return ids, cameras
