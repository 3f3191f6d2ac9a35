"""Market-1501's protocol as torchreid's compiled code has it, rebuilt from what it computes.

There (``torchreid/metrics/rank_cylib``, in Cython) every row of distances is sorted, images of the
same person from the same camera are left out, and each query's CMC and average precision are taken
in a loop. Numba compiles the same loop here.
"""

from collections.abc import Callable

import numpy as np

from benchmarks import ranking
from benchmarks.worker import Unavailable

try:
    from numba import njit
except ImportError as error:
    raise Unavailable("Numba is not installed: pip install numba") from error


def of_market() -> Callable[[], object]:
    """The same distances and labels as ``ranking.of_market``; both give the same CMC and mAP."""
    distances, *labels = ranking.random_test()
    found, expected = measured(distances, *labels), ranking.of_market_once(distances, *labels)
    np.testing.assert_allclose(found[0], expected.cmc, rtol=1e-6)
    np.testing.assert_allclose(found[1], expected.mean_ap, rtol=1e-6)
    return lambda: measured(distances, *labels)


def measured(distances: np.ndarray, *labels: np.ndarray) -> tuple[np.ndarray, float]:
    """CMC [20] and mAP, of distances [Q, G] and the four labels."""
    return _loop(np.argsort(distances, axis=1), *labels)


@njit
def _loop(order, query_ids, gallery_ids, query_cameras, gallery_cameras):
    cmc, precisions, valid = np.zeros(20), 0.0, 0
    for query in range(len(order)):
        place, hits, precision, first = 0, 0, 0.0, -1
        for image in order[query]:
            same = gallery_ids[image] == query_ids[query]
            if same and gallery_cameras[image] == query_cameras[query]:
                continue
            if same:
                hits += 1
                precision += hits / (place + 1)
                if first < 0:
                    first = place
            place += 1
        if hits:
            valid += 1
            precisions += precision / hits
            if first < 20:
                cmc[first:] += 1
    return cmc / valid, precisions / valid
