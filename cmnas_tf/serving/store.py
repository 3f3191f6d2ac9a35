"""A gallery that several processes search and change: a store, which is a folder of LanceDB.

The folder's name ends with ``.lance``. It is a table with a row for each entry: the columns of a
gallery file; ``place``, by which entries have an order; and ``added``, when the entry was put in or
replaced, in UNIX seconds. Its schema tells the network whose embeddings they are.
"""

import contextlib
import itertools
import os
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from cmnas_tf.errors import BadInput
from cmnas_tf.extras import needing
from cmnas_tf.options import Options, option
from cmnas_tf.serving.embedded import Embedded
from cmnas_tf.serving.gallery import Gallery, Matches, Ranked, check_k

SUFFIX = ".lance"
INDEXED_FROM = 100_000  # entries; fewer are compared one by one

_TEXTS = ("names", "ids", "cameras", "modalities")
_ROWS = 10_000  # that are handed over at a time
_PARTS = 20  # of which each change leaves one on the disk, until they are put together
_KEPT = timedelta(minutes=10)  # for those who still read what was removed or replaced
# Float32 sums of 2,048 products differ by 1e-7 with their order. So many entries more are ranked by
# a gallery's scores, in float64: equal entries get equal scores, and the first of them leads.
_MARGIN, _ROUNDING = 16, 1e-5
_REFINED = 4  # times as many as are wanted are compared exactly, of those that an index proposes


@dataclass(frozen=True, kw_only=True)
class Choice(Options):
    """Which entries of a store may be answered."""

    cameras: tuple[str, ...] = option((), "In a store: search only entries of these cameras.")
    since: str = option(
        "", "In a store: search only entries put in or replaced since, as 2026-11-28T09:00."
    )
    until: str = option("", "In a store: search only entries put in or replaced before.")

    def conditions(self) -> list[str]:
        """In SQL; BadInput: a time is not one of ISO 8601."""
        found = [_one_of("cameras", self.cameras)] if self.cameras else []
        for name, sign, text in (("since", ">=", self.since), ("until", "<", self.until)):
            try:
                if text:
                    found.append(f"added {sign} {datetime.fromisoformat(text).timestamp()!r}")
            except ValueError:
                raise BadInput(
                    f"{name}={text} is no time. Write it as 2026-11-28T09:00, by the clock of this "
                    "machine, or as 2026-11-28T09:00+01:00."
                ) from None
        return found


ALL = Choice()


@dataclass(frozen=True)
class Store:
    """A gallery in a store; each search and each change is of its newest state."""

    path: Path
    table: Any  # of LanceDB
    # Cells of the index that a search looks into; more of them where a choice leaves few entries.
    effort: int = 32
    choice: Choice = ALL

    @classmethod
    def create(cls, path: Path, network: str, size: int) -> "Store":
        """Makes a store for embeddings of this length by the network with this digest.

        Raises:
          BadInput: the folder exists or cannot be called so, or LanceDB is not installed.
        """
        with _told(path):
            folder, pa = _opened(path.parent)
            columns = dict.fromkeys(_TEXTS, pa.string()) | {"place": pa.int64()}
            columns |= {"added": pa.float64(), "embeddings": pa.list_(pa.float32(), size)}
            schema = pa.schema(columns, metadata={"network": network})
            return cls(path, folder.create_table(path.stem, schema=schema))

    @classmethod
    def load(cls, path: Path, effort: int = 32, choice: Choice = ALL) -> "Store":
        """Opens a store, to search it for entries of a choice.

        Raises:
          BadInput: there is none, it is damaged, or LanceDB is not installed.
        """
        with _told(path):
            if not path.is_dir():
                raise ValueError("there is no such folder")
            store = cls(path, _opened(path.parent)[0].open_table(path.stem), effort, choice)
            store._read(store.table.search().limit(1), "added", "embeddings")  # or damage is told
            return store

    @property
    def entries(self) -> Gallery:
        """What is known of each entry, without embeddings."""
        return self._read(self.table.search())

    def gallery(self) -> Gallery:
        """All entries, in memory."""
        return self._read(self.table.search(), "embeddings")

    def change(self, upsert: Gallery | Embedded, remove: Collection[str] = ()) -> None:
        """Removes entries and puts in others, at once: who searches sees both or neither.

        Args:
          upsert: of the same network; an entry takes the place of that of its name, new ones follow
            the others in their order.
          remove: names of entries; one that is not there is passed over.

        Raises:
          BadInput: the store is damaged or of another network, or another process changed the same
            entries meanwhile.
        """
        with _told(self.path):
            pa, schema = _opened(self.path.parent)[1], self.table.schema
            upsert.entries.check_network(schema.metadata[b"network"].decode(), "What is put in")
            known = self.table.search().select(["names", "place"]).to_arrow()
            place_of = dict(zip(*(column.to_pylist() for column in known.columns), strict=True))
            following = itertools.count(max(place_of.values(), default=-1) + 1)
            gone = [place_of.pop(name) for name in remove if name in place_of]
            names, now = upsert.entries.names.tolist(), time.time()

            def batches() -> Iterator[Any]:  # a few entries each: LanceDB would copy all at once
                for part in upsert.parts():
                    own = part.names.tolist()
                    places = [place_of[n] if n in place_of else next(following) for n in own]
                    texts = [pa.array(getattr(part, c).tolist(), pa.string()) for c in _TEXTS]
                    numbers = [pa.array(places, pa.int64()), pa.array(np.full(len(own), now))]
                    flat, size = pa.array(part.embeddings.ravel()), schema.field("embeddings").type
                    rows = pa.FixedSizeListArray.from_arrays(flat, type=size)
                    entries = pa.table([*texts, *numbers, rows], schema=schema)
                    yield from entries.to_batches(max_chunksize=_ROWS)

            entries = pa.RecordBatchReader.from_batches(schema, batches())
            if gone or not place_of.keys().isdisjoint(names):
                merge = self.table.merge_insert("names").when_matched_update_all()
                merge = merge.when_not_matched_insert_all()
                if gone:
                    condition = f"place IN ({', '.join(map(str, gone))})"
                    merge = merge.when_not_matched_by_source_delete(condition)
                merge.execute(entries)
            else:
                self.table.add(entries)
            self._tidy_up()

    def _tidy_up(self) -> None:
        """Makes an index where there are many entries, and puts many parts together."""
        from lancedb.index import IvfRq

        if self.table.count_rows() >= INDEXED_FROM and not self.table.list_indices():
            self.table.create_index("embeddings", config=IvfRq(distance_type="dot"))
        if self.table.stats()["fragment_stats"]["num_fragments"] > _PARTS:
            self.table.optimize(cleanup_older_than=_KEPT)  # takes new entries into the index, too

    def search(self, embedding: np.ndarray, k: int, camera: Sequence[str] | None = None) -> Matches:
        """What :meth:`Gallery.search` answers of the chosen entries, approximately if indexed.

        Raises:
          BadInput: as there.
        """
        check_k(k, max(k, self.table.count_rows()))
        found, chosen = [], self.choice.conditions()
        for query, own in zip(embedding, camera or [""] * len(embedding), strict=True):
            near = self._near(query, k, chosen + ([f"cameras <> {_quoted(own)}"] if own else []))
            found.append(near.search(query[None], k))  # where k is too many, all are near
        return Matches(*map(np.concatenate, zip(*found, strict=True)))

    def ranked(self, embedding: np.ndarray, k: int, cameras: Collection[str] = ()) -> list[Ranked]:
        """What :meth:`Gallery.ranked` answers, approximately if indexed."""
        (query,) = embedding
        found = self._near(query, k, [_one_of("cameras", cameras)] if cameras else [])
        best = found.ranked(embedding, k)
        if not cameras or not best:
            return best
        with _told(self.path):  # among all entries
            as_good = 1 - best[-1].score + _ROUNDING  # the distance that LanceDB gives them
            asked = self._asked(query).bypass_vector_index().distance_range(upper_bound=as_good)
            better = asked.select(["names", "place", "_distance"]).limit(self.table.count_rows())
            order = [("_distance", "ascending"), ("place", "ascending")]
            names = better.to_arrow().sort_by(order)["names"].to_pylist()
            rank_of = {name: rank for rank, name in enumerate(names, 1)}
        return [one._replace(rank=rank_of[one.name]) for one in best if one.name in rank_of]

    def _near(self, query: np.ndarray, k: int, conditions: Sequence[str]) -> Gallery:
        """The best entries that meet all conditions, some more than ``k`` if there are."""
        with _told(self.path):
            for most in (self.effort, 0):  # cells; 0: as many as it takes
                asked = self._asked(query).nprobes(self.effort).maximum_nprobes(most)
                asked = asked.refine_factor(_REFINED)
                if conditions:
                    asked = asked.where(" AND ".join(conditions))
                found = self._read(asked.limit(k + _MARGIN), "embeddings", "_distance")
                if len(found) >= k:
                    break
            return found

    def _asked(self, query: np.ndarray) -> Any:
        size = self.table.schema.field("embeddings").type.list_size
        if len(query) != size:
            raise BadInput(
                f"{self.path} has embeddings of {size} numbers, and those of the queries have "
                f"{len(query)}: another network made them. Give a store of the network that is "
                "served."
            )
        return self.table.search(query, vector_column_name="embeddings").distance_type("dot")

    def _read(self, query: Any, *more: str) -> Gallery:
        """What a query of LanceDB finds, in the order of places; ``more`` columns may be needed."""
        with _told(self.path):
            found = query.select([*_TEXTS, "place", *more]).to_arrow()
            found = found.sort_by([("place", "ascending"), ("names", "ascending")])
            texts = [np.array(found[name].to_pylist(), str) for name in _TEXTS]
            rows = np.empty((len(found), 0), np.float32)
            if "embeddings" in more:
                flat = [chunk.flatten().to_numpy() for chunk in found["embeddings"].chunks]
                size = found.schema.field("embeddings").type.list_size
                rows = np.concatenate([rows.ravel(), *flat]).reshape(-1, size)
            return Gallery(self.table.schema.metadata[b"network"].decode(), rows, *texts)


def _opened(folder: Path) -> tuple[Any, Any]:
    """The folder that stores lie in, for LanceDB, whose searches see what is new; and PyArrow."""
    os.environ.setdefault("LANCE_LOG", "error")  # not each cluster that has few entries
    with needing("store"):
        import lancedb
        import pyarrow
    return lancedb.connect(folder, read_consistency_interval=timedelta(0)), pyarrow


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turns the errors of LanceDB and PyArrow, which are of many kinds, into BadInput."""
    try:
        yield
    except BadInput:
        raise
    except Exception as error:
        said = str(error).partition("\n")[0]
        raise BadInput(
            f"{path} is no store that can be searched or changed: {said}. Make one with "
            "`build_gallery`; if another process has just changed this one, rerun."
        ) from error


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _one_of(column: str, texts: Collection[str]) -> str:
    return f"{column} IN ({', '.join(map(_quoted, texts))})"
