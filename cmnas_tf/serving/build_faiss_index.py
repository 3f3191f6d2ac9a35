"""Makes an index of a large gallery, and measures what it finds and how fast."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cmnas_tf.files import new_path
from cmnas_tf.serving.faiss_index import FaissIndex, recall
from cmnas_tf.serving.gallery import Gallery

_MATCHES, _QUERIES, _CALLS = 10, 200, 5


@dataclass(frozen=True)
class BuiltIndex:
    """An index and how it does; prints as a few lines.

    Attributes:
      folder: of the index.
      kind, effort: as given.
      entries: of the gallery.
      matches, queries: with which recall was measured.
      recall: share of the best matches of an exact search that the index finds as well, 0..1.
      milliseconds, exact_milliseconds: a query takes, in the index and by exact search in NumPy.
    """

    folder: Path
    kind: str
    effort: int
    entries: int
    matches: int
    queries: int
    recall: float
    milliseconds: float
    exact_milliseconds: float

    def __str__(self) -> str:
        return (
            f"{self.folder}: {self.kind} index of {self.entries} entries\n"
            f"recall@{self.matches} {self.recall:.4f} against exact search, over {self.queries} "
            f"entries as queries (effort {self.effort})\n"
            f"one query {self.milliseconds:.2f} ms, exact search in NumPy "
            f"{self.exact_milliseconds:.2f} ms"
        )


def build_faiss_index(
    gallery: str | os.PathLike[str],
    output: str | os.PathLike[str],
    kind: str = "hnsw",
    effort: int = 32,
) -> BuiltIndex:
    """Writes the folder of an index of a gallery, and measures it.

    Args:
      gallery: its file, with at least one entry.
      output: the folder; it must not exist.
      kind: ``"flat"``, ``"ivf"`` or ``"hnsw"``, see :meth:`FaissIndex.of`.
      effort: with which recall is measured.

    Raises:
      BadInput: no such gallery, an empty one, no such kind, the folder exists, or FAISS is not
        installed.
    """
    folder, entries = new_path(output, "output"), Gallery.load(gallery)
    entries.require_any(os.fspath(gallery))
    index = FaissIndex.of(entries, kind, effort)
    index.save(folder)
    matches, queries = min(_MATCHES, len(entries)), min(_QUERIES, len(entries))
    query = entries.embeddings[:1]
    return BuiltIndex(
        folder,
        kind,
        effort,
        len(entries),
        matches,
        queries,
        recall(index, entries, matches, queries),
        _milliseconds(index.search, query, matches),
        _milliseconds(entries.search, query, matches),
    )


def _milliseconds(search: Callable[..., Any], query: np.ndarray, k: int) -> float:
    """The fastest of a few calls."""
    times = []
    for _ in range(_CALLS):
        start = time.perf_counter()
        search(query, k)
        times.append(time.perf_counter() - start)
    return 1000 * min(times)
