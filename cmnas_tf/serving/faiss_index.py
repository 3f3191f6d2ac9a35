"""A gallery that FAISS searches, for more entries than are compared one by one in time.

The folder of an index holds ``index.faiss``; ``entries.npz``, the gallery without embeddings; and
``SHA256SUMS``, their checksums, as the program of that name reads them.
"""

import logging
import os
import timeit
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cmnas_tf.errors import BadInput
from cmnas_tf.extras import needing
from cmnas_tf.files import new_path, replacing, sha256, write_text, writing_by
from cmnas_tf.reading import no_device, read_bytes
from cmnas_tf.serving.embedded import SUFFIX, Embedded
from cmnas_tf.serving.gallery import Gallery, Matches, check_k

logger = logging.getLogger("cmnas_tf")

KINDS = ("flat", "ivf", "ivfpq", "hnsw")

_INDEX, _ENTRIES, _CHECKSUMS = "index.faiss", "entries.npz", "SHA256SUMS"
_NEIGHBOURS = 32  # links of an entry in HNSW (Malkov and Yashunin, TPAMI 2020, use 5 to 48)
_TRAINED_ON = 39  # entries that FAISS wants to see of each cell
_CODE = 64  # bytes of a compressed entry at most; our choice
_SAMPLE = 2**20  # entries at most that cells are learned from; our choice
_MATCHES, _QUERIES, _CALLS = 10, 200, 5  # of a measurement


@dataclass(frozen=True)
class FaissIndex:
    """An index and what is known of its entries."""

    entries: Gallery  # the gallery; its embeddings are left out
    index: Any  # of FAISS, for inner products
    # Cells of an inverted file that are looked into; length of HNSW's list of candidates.
    effort: int

    @classmethod
    def of(cls, gallery: Gallery | Embedded, kind: str, effort: int = 32) -> "FaissIndex":
        """Builds an index.

        Args:
          gallery: with at least one entry; of embeddings a part at a time is put in.
          kind: ``flat``: exact; ``ivf``: an inverted file of about 4 sqrt(G) cells, fewer where a
            cell would have too few entries to be learned from; ``ivfpq``: the same, of entries that
            are compressed to at most 64 bytes (product quantization: Jegou et al., TPAMI 2011),
            unless there are under 78 of them; ``hnsw``: a graph.
          effort: more finds more of what an exact search finds, and takes longer.

        Raises:
          BadInput: no such kind, or FAISS is not installed.
        """
        if kind not in KINDS:
            raise BadInput(f"kind={kind!r} is not allowed; it must be one of {', '.join(KINDS)}.")
        faiss = _faiss()
        count, entries = len(gallery), gallery.entries
        learned_from = min(count, _SAMPLE) if kind.startswith("ivf") else 1
        cells = max(1, min(round(4 * count**0.5), learned_from // _TRAINED_ON))
        sample = gallery[_drawn(count, learned_from)].embeddings
        size = sample.shape[1]
        code = max(n for n in range(1, _CODE + 1) if size % n == 0)
        bits = min(8, (learned_from // _TRAINED_ON).bit_length() - 1)  # few are learned from few
        forms = {
            "flat": "Flat",
            "ivf": f"IVF{cells},Flat",
            # Without "np" it also sorts the codes for a search that is not made here: a minute.
            "ivfpq": f"IVF{cells},PQ{code}x{bits}np" if bits > 0 else f"IVF{cells},Flat",
            "hnsw": f"HNSW{_NEIGHBOURS},Flat",
        }
        index = faiss.index_factory(size, forms[kind], faiss.METRIC_INNER_PRODUCT)
        index.train(sample)
        for part in gallery.parts():
            index.add(part.embeddings)
        return cls(replace(entries, embeddings=entries.embeddings[:, :0]), index, effort)

    @classmethod
    def load(cls, path: str | os.PathLike[str], effort: int = 32) -> "FaissIndex":
        """Reads the folder of an index; that one of an earlier version has no checksums is logged.

        Raises:
          BadInput: there is none, it is damaged, or FAISS is not installed.
        """
        faiss, folder = _faiss(), Path(path)
        entries = Gallery.load(folder / _ENTRIES)
        try:
            no_device(folder / _INDEX)
            if not (folder / _CHECKSUMS).exists():
                logger.info("%s has no %s: damage would not be seen.", folder, _CHECKSUMS)
            elif read_bytes(folder / _CHECKSUMS) != _checksums(folder).encode():
                raise RuntimeError(f"it is not as it was written ({_CHECKSUMS})")
            index = faiss.read_index(str(folder / _INDEX))
            if index.ntotal != len(entries):
                raise RuntimeError(f"{index.ntotal} embeddings of {len(entries)} entries")
        except (OSError, RuntimeError) as error:
            raise BadInput(
                f"{path} holds no FAISS index that can be read: {error}. Make it anew with "
                "`build_faiss_index`."
            ) from error
        return cls(entries, index, effort)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the folder, which must not exist, whole or not at all."""
        with replacing(path) as folder:
            folder.mkdir()
            self.entries.save(folder / _ENTRIES)
            with writing_by(RuntimeError, path):
                _faiss().write_index(self.index, str(folder / _INDEX))
            write_text(folder / _CHECKSUMS, _checksums(folder))

    def search(self, embedding: np.ndarray, k: int, camera: Sequence[str] | None = None) -> Matches:
        """What :meth:`Gallery.search` answers, approximately unless the index is ``flat``.

        Raises:
          BadInput: as there, or fewer than ``k`` entries were found with this effort, or the
            embeddings are those of another network, as far as their size tells.
        """
        if embedding.shape[1] != self.index.d:
            raise BadInput(
                f"The index is of embeddings of {self.index.d} numbers, and those of the queries "
                f"have {embedding.shape[1]}: another network made them. Make the index anew from a "
                "gallery of the network that is served."
            )
        cameras = np.array(camera or [""] * len(embedding), dtype=str)
        scores = np.empty((len(embedding), k), np.float32)
        rows = np.empty((len(embedding), k), np.int64)
        for name in set(cameras):
            queries = np.flatnonzero(cameras == name)
            allowed = np.ones(len(self.entries), bool)  # [G]
            if name:
                allowed = self.entries.cameras != name
            check_k(k, int(allowed.sum()))
            wanted = np.ascontiguousarray(embedding[queries], np.float32)
            found = self.index.search(wanted, k, params=self._parameters(allowed))
            scores[queries], rows[queries] = found
        if (rows < 0).any():
            raise BadInput(
                f"Fewer than k={k} entries were found with effort {self.effort}; give more of it, "
                "or a smaller k."
            )
        return Matches(self.entries.ids[rows], self.entries.cameras[rows], scores)

    def _parameters(self, allowed: np.ndarray) -> Any:
        faiss = _faiss()
        chosen = None if allowed.all() else faiss.IDSelectorBatch(np.flatnonzero(allowed))
        if isinstance(self.index, faiss.IndexIVF):
            return faiss.SearchParametersIVF(sel=chosen, nprobe=self.effort)
        if isinstance(self.index, faiss.IndexHNSW):
            return faiss.SearchParametersHNSW(sel=chosen, efSearch=self.effort)
        return faiss.SearchParameters(sel=chosen)


def _checksums(folder: Path) -> str:
    return "".join(f"{sha256(folder / name)}  {name}\n" for name in (_ENTRIES, _INDEX))


def _faiss() -> Any:
    with needing("faiss"):
        import faiss
    return faiss


def _drawn(count: int, some: int) -> np.ndarray:
    """So many different rows of ``count``, in ascending order."""
    return np.sort(np.random.default_rng(0).choice(count, some, replace=False))


def recall(index: FaissIndex, gallery: Gallery | Embedded, k: int, queries: int) -> float:
    """Share of the ``k`` best matches of an exact search that the index finds as well, 0..1.

    So many entries of the gallery are the queries, drawn without replacement; each also finds
    itself.
    """
    asked, start = gallery[_drawn(len(gallery), queries)].embeddings, 0
    numbers = np.empty((queries, 0), int)
    scores = np.empty((queries, 0), np.float32)
    for part in gallery.parts():
        of_part = np.tile(start + np.arange(len(part)), (queries, 1))
        numbers, scores = np.hstack([numbers, of_part]), np.hstack([scores, part.scores(asked)])
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        numbers, scores = (np.take_along_axis(each, best, axis=1) for each in (numbers, scores))
        start += len(part)
    numbered = replace(index.entries, ids=np.arange(len(index.entries)))
    approximate = replace(index, entries=numbered).search(asked, k).ids
    shared = [len(set(a) & set(b)) for a, b in zip(numbers, approximate, strict=True)]
    return sum(shared) / (k * queries)


@dataclass(frozen=True)
class BuiltIndex:
    """An index and how it does; prints as a few lines.

    Attributes:
      folder, kind: of the index.
      index: with the effort that it was measured with.
      matches, queries, recall: see :func:`recall`.
      milliseconds, exact_milliseconds: a query takes, in the index and by exact search in NumPy;
        of embeddings in parts that is the first part's time, in proportion.
    """

    folder: Path
    kind: str
    index: FaissIndex
    matches: int
    queries: int
    recall: float
    milliseconds: float
    exact_milliseconds: float

    def __str__(self) -> str:
        return (
            f"{self.folder}: {self.kind} index of {len(self.index.entries)} entries\n"
            f"recall@{self.matches} {self.recall:.4f} against exact search, over {self.queries} "
            f"entries as queries (effort {self.index.effort})\n"
            f"one query {self.milliseconds:.2f} ms, exact search in NumPy about "
            f"{self.exact_milliseconds:.2f} ms"
        )


def build_faiss_index(
    gallery: str | os.PathLike[str],
    output: str | os.PathLike[str],
    kind: str = "hnsw",
    effort: int = 32,
) -> BuiltIndex:
    """Writes the folder of an index of a gallery, and measures it with this effort.

    Args:
      gallery: its file, or embeddings of ``embed_in_bulk``.
      output: the folder; it must not exist.
      kind, effort: see :meth:`FaissIndex.of`.

    Raises:
      BadInput: no such gallery, an empty one, no such kind, the folder exists, or FAISS is not
        installed.
    """
    folder, is_file = new_path(output, "output"), Path(gallery).suffix != SUFFIX
    opened = Gallery.load(gallery) if is_file else Embedded.load(Path(gallery))
    opened.entries.require_any(os.fspath(gallery))
    index = FaissIndex.of(opened, kind, effort)
    index.save(folder)
    matches, queries = min(_MATCHES, len(opened)), min(_QUERIES, len(opened))
    some = next(part for part in opened.parts() if len(part))

    def milliseconds(searched: FaissIndex | Gallery) -> float:
        search = partial(searched.search, some.embeddings[:1], min(matches, len(some)))
        return 1000 * min(timeit.repeat(search, number=1, repeat=_CALLS))

    found = recall(index, opened, matches, queries)
    times = milliseconds(index), milliseconds(some) * len(opened) / len(some)
    return BuiltIndex(folder, kind, index, matches, queries, found, *times)
