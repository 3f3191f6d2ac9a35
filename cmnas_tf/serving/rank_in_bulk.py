"""How well queries find their people in a large gallery: embeddings in bulk, ranked in parts.

No process holds more of the gallery than a part, whether parts are ranked one after the other here
or at once on the nodes of a Ray cluster; the result is the same.
"""

import os
import uuid
from collections.abc import Iterable, Iterator
from functools import lru_cache, partial, reduce
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from cmnas_tf.devices.ray_nodes import RayNodes
from cmnas_tf.progress import progress_bar
from cmnas_tf.retrieval.measure import Measured, TrialResult
from cmnas_tf.retrieval.ranking_in_parts import Entries, Matches, RankedPart, ranking_of
from cmnas_tf.serving.embedded import Embedded
from cmnas_tf.serving.gallery import Gallery
from cmnas_tf.serving.searchable import load_gallery

T = TypeVar("T")


class _Part(NamedTuple):
    """A part of a gallery, and who asks, by their paths."""

    query: Path
    call: str  # for which a process reads the queries once, and anew for another
    gallery: Path
    number: int
    start: int  # the number of its first entry
    rule: str

    def opened(self) -> RankedPart:
        query = _queries(self.query, self.call)
        gallery = Embedded.load(self.gallery).part(self.number)
        return RankedPart(_entries(query), _entries(gallery), self.rule, self.start)

    def matches(self) -> tuple[Matches, np.ndarray]:
        return self.opened().matches()

    def before(self, matches: Matches) -> np.ndarray:
        return self.opened().before(matches)


def _entries(gallery: Gallery) -> Entries:
    return Entries(gallery.embeddings, gallery.ids, gallery.cameras)


@lru_cache(maxsize=1)
def _queries(path: Path, call: str) -> Gallery:
    return load_gallery(path)


def rank_in_bulk(
    query: str | os.PathLike[str],
    gallery: str | os.PathLike[str],
    rule: str = "market",
    nodes: RayNodes | None = None,
    progress: bool = True,
) -> Measured:
    """Ranks a gallery for every query, and measures where the query's person stands in it.

    Entries without an identity match no query, and stand in its way.

    Args:
      query: whose entries ask: a gallery file, a store, or embeddings of ``embed_in_bulk``.
      gallery: embeddings of ``embed_in_bulk``, by the same network.
      rule: ``market``: a query does not see images of its own person from its own camera;
        ``regdb``: it sees all. Rank-k counts images.
      nodes: of a cluster, which all see both by their paths; by default this process ranks all.
      progress: whether to show a bar.

    Raises:
      BadInput: there are no such embeddings, or they are of two networks; no such rule; or no query
        has a match.
    """
    source, answering = Path(query).absolute(), Embedded.load(Path(gallery).absolute())
    call = uuid.uuid4().hex
    asking = _queries(source, call)
    asking.require_any(os.fspath(query))
    asking.check_network(answering.manifest["network"], os.fspath(query))
    parts = [
        _Part(source, call, answering.path, number, start, rule)
        for number, start in enumerate(answering.starts)
    ]
    each = nodes.each if nodes else map
    with progress_bar(2 * len(parts), "part", progress) as bar:

        def counted(found: Iterable[T]) -> Iterator[T]:
            for one in found:
                bar.update()
                yield one

        matches, here = zip(*counted(each(_Part.matches, parts)), strict=True)
        joined = Matches.joined(matches)
        before = reduce(np.add, counted(each(partial(_Part.before, matches=joined), parts)))
    ranking, counts = ranking_of(joined, before, np.any(here, axis=0), rule)
    return Measured.average("", {"": TrialResult(ranking, counts)})
