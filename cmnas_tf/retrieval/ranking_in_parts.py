"""Ranking a gallery in parts, which need not be in one place.

Where a match stands is the number of images before it, a sum over parts. So each part is looked at
twice: for the matches that it holds, and then for how many of its images stand before each match of
all parts. Distances are summed in float64 and rounded, so that they are the same however a gallery
is cut.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from cmnas_tf.data.camera_rules import RULES, QueryCounts
from cmnas_tf.errors import BadInput
from cmnas_tf.retrieval.ranking import Ranking, measures_of_positions, of_one_size

# Which images a query does not see; Rank-k counts images.
PART_RULES = tuple(name for name, rule in RULES.items() if not rule.counts_identities)

_QUERIES = 256  # that are compared with a part at once


class Matches(NamedTuple):
    """Images of a gallery that are right answers, in ascending order of query and image."""

    queries: np.ndarray  # [M] int64
    images: np.ndarray  # [M] int64, their numbers in the gallery
    distances: np.ndarray  # [M] float32

    @classmethod
    def joined(cls, parts: "Iterable[Matches]") -> "Matches":
        """Those of several parts."""
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
        order = np.lexsort(columns[1::-1])
        return cls(*(column[order] for column in columns))


class Entries(NamedTuple):
    """Images that ask, or that answer.

    Attributes:
      embeddings: [N, D].
      ids, cameras: [N] text; "" is not known, and equal to nothing.
    """

    embeddings: np.ndarray
    ids: np.ndarray
    cameras: np.ndarray


@dataclass(frozen=True)
class RankedPart:
    """Some of a gallery, beside all queries.

    Attributes:
      query, gallery: Q images that ask; G images of the part.
      rule: one of ``PART_RULES``.
      start: the number in the gallery of the part's first image.

    Raises:
      BadInput: the embeddings are not finite, or not of one size, or there is no such rule.
    """

    query: Entries
    gallery: Entries
    rule: str
    start: int = 0

    def __post_init__(self) -> None:
        sides = of_one_size(self.query.embeddings, self.gallery.embeddings)
        if not all(np.isfinite(side).all() for side in sides):
            raise BadInput("Embeddings must be finite. A network gave NaN or infinite ones.")
        if self.rule not in PART_RULES:
            allowed = ", ".join(PART_RULES)
            raise BadInput(f"rule={self.rule!r} is not allowed; it must be one of {allowed}.")

    def matches(self) -> tuple[Matches, np.ndarray]:
        """The matches of this part, and of each query, [Q] bool, whether its identity is here."""
        found, here = [], np.zeros(len(self.query.ids), bool)
        for rows, same, dropped in self._blocks():
            here[rows] = same.any(axis=1)
            queries, images = np.nonzero(same & ~dropped)
            queries += rows.start
            pair = self.query.embeddings[queries], self.gallery.embeddings[images]
            distances = -np.einsum("md,md->m", *pair, dtype=np.float64)
            found.append(Matches(queries, images + self.start, distances.astype(np.float32)))
        return Matches.joined(found), here

    def before(self, matches: Matches) -> np.ndarray:
        """How many images of this part stand before each match of any part, [M] int64.

        Equal distances stand in the order of the gallery.
        """
        counts = np.empty(len(matches.queries), np.int64)
        end = self.start + len(self.gallery.ids)
        answering = self.gallery.embeddings.T.astype(np.float64)
        for rows, _, dropped in self._blocks():
            asking = self.query.embeddings[rows].astype(np.float64)
            distances = -(asking @ answering).astype(np.float32)
            distances[dropped] = np.inf
            ordered = np.sort(distances, axis=1)
            bounds = np.searchsorted(matches.queries, np.arange(rows.start, rows.stop + 1))
            for row, (first, last) in enumerate(pairwise(bounds)):
                wanted, images = matches.distances[first:last], matches.images[first:last]
                nearer = np.searchsorted(ordered[row], wanted, "left")
                not_farther = np.searchsorted(ordered[row], wanted, "right")
                counts[first:last] = np.where(images < end, nearer, not_farther)
                for tied in np.flatnonzero((nearer < not_farther) & (images > self.start)):
                    if images[tied] < end:
                        earlier = distances[row, : images[tied] - self.start]
                        counts[first + tied] += np.count_nonzero(earlier == wanted[tied])
        return counts

    def _blocks(self) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Of some queries at a time: which they are; where the part shows the same identity, and
        what the rule drops, [B, G] bool."""
        asked, answers = _numbers(self.query.ids, self.gallery.ids)
        asked_from, answered_from = _numbers(self.query.cameras, self.gallery.cameras)
        for start in range(0, len(asked), _QUERIES):
            rows = slice(start, min(start + _QUERIES, len(asked)))
            same = asked[rows, None] == answers
            yield rows, same, RULES[self.rule].drops(same, asked_from[rows, None], answered_from)


def _numbers(queries: np.ndarray, gallery: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Texts as whole numbers, equal where they are equal and known."""
    texts, numbers = np.unique([*queries, *gallery], return_inverse=True)
    asked, answers = np.split(numbers, [len(queries)])
    return np.where(texts[asked] == "", -1, asked), answers


def ranking_of(
    matches: Matches, before: np.ndarray, here: np.ndarray, rule: str, max_rank: int = 20
) -> tuple[Ranking, QueryCounts]:
    """What all parts say together; means over the queries that have a match.

    Args:
      matches: of all parts.
      before: [M] how many images of all parts stand before each.
      here: [Q] bool, whether a query's identity is in any part.
      rule: one of ``PART_RULES``.
      max_rank: the longest CMC that is wanted.

    Raises:
      BadInput: no query has a match.
    """
    queries, first, numbers = np.unique(matches.queries, return_index=True, return_counts=True)
    counts = QueryCounts(len(queries), int((~here).sum()), int(here.sum()) - len(queries), rule)
    counts.require_any()
    position = before[np.lexsort([before, matches.queries])]
    of_each, penalty = measures_of_positions(position, first, numbers)
    cmc = np.cumsum(np.bincount(position[first], minlength=max_rank)[:max_rank]) / len(queries)
    precisions = np.full(len(here), np.nan)
    precisions[queries] = of_each
    return Ranking(cmc, float(of_each.mean()), float(penalty.mean()), precisions), counts
