"""k-reciprocal re-ranking (Zhong et al., CVPR 2017, arXiv 1701.08398).

Two images are k-reciprocal neighbours when each is among the k nearest of the other. An image is
described by its k-reciprocal neighbours, and two images are alike when they share many of them.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from cmnas_tf.errors import BadInput
from cmnas_tf.machine import available_memory
from cmnas_tf.retrieval.ranking import of_one_size

_BLOCK_ROWS = 64


def re_rank(
    query: np.ndarray,
    gallery: np.ndarray,
    k1: int = 20,
    k2: int = 6,
    lambda_value: float = 0.3,
    distance: str = "squared_dot_product",
) -> np.ndarray:
    """Distances between query and gallery, re-ranked by the neighbours that they share.

    By default this computes what the released program computes in re-ID evaluation code. That code
    hands it dot products, and it squares what it takes for a distance: images that are alike count
    as far apart, and a ranking gets worse (on the embeddings of ``tests/goldens/retrieval.npz`` mAP
    falls from 0.410 to 0.105). To compare with published programs only; to rank, take
    ``"squared_euclidean"``, the distance of the paper's eq. 1 with M = I (there: 0.465).

    Memory grows with the square of Q + G, see :func:`require_memory`.

    Args:
      query: [Q, D] embeddings, L2-normalised or not.
      gallery: [G, D] embeddings.
      k1: size of the neighbourhood that describes an image, at least 1.
      k2: number of nearest images whose descriptions are averaged, at least 1 (itself).
      lambda_value: part of the original distance in the result, 0..1.
      distance: the original distance, ``"squared_dot_product"`` or ``"squared_euclidean"``.

    Returns:
      [Q, G] distances in 0..1, smaller is more alike.

    Raises:
      BadInput: if the embeddings do not belong together or are not finite, a parameter is out of
        range, or memory does not suffice.
    """
    query, gallery = of_one_size(query, gallery)
    if distance not in _DISTANCES:
        raise BadInput(f"distance must be one of {', '.join(_DISTANCES)}. Received: {distance!r}")
    require_memory(len(query), len(gallery))
    embeddings = np.concatenate([query, gallery])
    embeddings = embeddings.astype(np.result_type(embeddings, np.float32), copy=False)
    distances = _DISTANCES[distance](embeddings)  # [Q + G, Q + G]
    return re_rank_distances(distances, len(query), k1, k2, lambda_value)


def _squared_dot_product(embeddings: np.ndarray) -> np.ndarray:
    products = embeddings @ embeddings.T
    return np.square(products, out=products)


def _squared_euclidean(embeddings: np.ndarray) -> np.ndarray:
    squares = np.einsum("nd,nd->n", embeddings, embeddings)
    distances = embeddings @ embeddings.T
    distances *= -2
    distances += squares
    distances += squares[:, None]
    return np.maximum(distances, 0, out=distances)


_DISTANCES = {
    "squared_dot_product": _squared_dot_product,
    "squared_euclidean": _squared_euclidean,
}


def require_memory(queries: int, gallery: int) -> None:
    """Raises BadInput if re-ranking so many images takes more memory than there is.

    It takes the float32 distances [N, N] and [Q, G], N = Q + G, and 32 KiB for each image's
    embedding, its copies and its neighbours. (Measured with 2,048 numbers an embedding: 350 MB for
    3,803 + 3,010 images, where this asks for 454 MB; 1.8 GB for 3,368 + 15,913 instead of 2.3 GB.)
    """
    images = queries + gallery
    needed = 4 * (images**2 + queries * gallery) + 2**15 * images
    available = available_memory()
    if needed > available:
        raise BadInput(
            f"Re-ranking {queries:,} queries and {gallery:,} gallery images takes {needed:,} bytes "
            f"of memory, and {available:,} are available: it compares every image with every other "
            "one. Leave `rerank` out, or use a machine with more memory."
        )


def re_rank_distances(
    distances: np.ndarray, queries: int, k1: int = 20, k2: int = 6, lambda_value: float = 0.3
) -> np.ndarray:
    """:func:`re_rank` by any original distance among all images: queries first, then the gallery.

    Args:
      distances: [N, N] symmetric, 0 or more, N = Q + G.
      queries: Q.

    Raises:
      BadInput: if a distance is negative or not finite, or a parameter is out of range.
    """
    from scipy import sparse

    if k1 < 1 or k2 < 1 or not 0 <= lambda_value <= 1:
        raise BadInput(
            "k1 and k2 must be at least 1 and lambda_value in 0..1. "
            f"Received: k1={k1}, k2={k2}, lambda_value={lambda_value}"
        )
    if not 0 < queries < len(distances):
        raise BadInput(
            "re-ranking needs at least one query and one gallery image. "
            f"Received: {queries} queries and {len(distances) - queries} gallery images"
        )
    largest = distances.max(axis=1, keepdims=True)  # [N, 1]
    smallest = distances.min()
    if not (smallest >= 0 and np.isfinite(largest).all()):
        raise BadInput(
            "distances must be finite and not negative. "
            f"Received: values from {smallest} to {largest.max()}"
        )
    largest[largest == 0] = 1
    nearest = _nearest(distances, max(k1 + 1, k2))

    def among_nearest(k: int) -> Any:
        """Sparse [N, N]: 1 where the column's image is among the k nearest to the row's."""
        columns = nearest[:, :k]
        starts = np.arange(0, columns.size + 1, columns.shape[1])
        return sparse.csr_matrix((np.ones(columns.size), columns.ravel(), starts), distances.shape)

    def reciprocal(k: int) -> Any:
        """R(., k), eq. 3; the released code does not count the image itself into its k nearest."""
        near = among_nearest(k + 1)
        return near.multiply(near.T).tocsr()

    # Eq. 4: a neighbour brings its own closer neighbours along if over 2/3 of these are shared.
    neighbours, closer = reciprocal(k1), reciprocal(round(k1 / 2))
    shared = neighbours.multiply(neighbours @ closer.T).tocoo()
    enough = 3 * shared.data > 2 * closer.sum(axis=1).A1[shared.col]
    bringing = (shared.data[enough], (shared.row[enough], shared.col[enough]))
    expanded = (neighbours + sparse.csr_matrix(bringing, distances.shape) @ closer).tocoo()

    # Eq. 7 with rows that sum to 1, then eq. 11: the mean over the k2 nearest.
    weights = np.exp(-distances[expanded.row, expanded.col] / largest[expanded.row, 0])
    weights /= np.bincount(expanded.row, weights)[expanded.row]
    encoded = sparse.csr_matrix((weights, (expanded.row, expanded.col)), distances.shape)
    encoded = among_nearest(k2) @ encoded / min(k2, len(distances))

    shape = queries, len(distances) - queries
    result = np.empty(shape, np.result_type(distances, np.float32))
    for rows, common in _sums_of_minima(encoded[:queries], encoded[queries:]):
        jaccard = 1 - common / (2 - common)  # eq. 10: the maxima sum to 1 + 1 - common
        original = distances[rows, queries:] / largest[rows]
        result[rows] = (1 - lambda_value) * jaccard + lambda_value * original
    return result


def _nearest(distances: np.ndarray, k: int) -> np.ndarray:
    """The columns of the k smallest values in each row, in ascending order, [N, k]."""
    k = min(k, len(distances))
    found = np.empty((len(distances), k), np.int64)
    for rows in _blocks(len(distances)):
        block = distances[rows]
        nearest = np.sort(np.argpartition(block, k - 1, axis=1)[:, :k], axis=1)
        order = np.argsort(np.take_along_axis(block, nearest, axis=1), axis=1, kind="stable")
        found[rows] = np.take_along_axis(nearest, order, axis=1)
    return found


def _sums_of_minima(rows: Any, columns: Any) -> Iterator[tuple[slice, np.ndarray]]:
    """``sum_k min(rows[q, k], columns[g, k])`` of sparse matrices [Q, N] and [G, N].

    Only pairs of entries that meet in a column k are looked at. Yields a block of queries, and
    their sums [block, G].
    """
    by_column = columns.tocsc()
    width = columns.shape[0]
    for block in _blocks(rows.shape[0]):
        entries = rows[block].tocoo()
        met = np.diff(by_column.indptr)[entries.col]  # how many gallery entries each entry meets
        first = by_column.indptr[entries.col] - (np.cumsum(met) - met)
        partner = np.arange(met.sum()) + np.repeat(first, met)
        minima = np.minimum(np.repeat(entries.data, met), by_column.data[partner])
        cell = np.repeat(entries.row * width, met) + by_column.indices[partner]
        yield block, np.bincount(cell, minima, entries.shape[0] * width).reshape(-1, width)


def _blocks(rows: int) -> Iterator[slice]:
    """Slices of a few rows each, to hold few intermediate values at a time."""
    return (slice(i, min(i + _BLOCK_ROWS, rows)) for i in range(0, rows, _BLOCK_ROWS))
