"""The gallery of a deployment: embeddings of known people's images, kept in a file.

The file is a NumPy archive (``.npz``) of ``embeddings`` [G, D] float32 with rows of norm 1; of
``names`` (the image's path), ``ids``, ``cameras`` and ``modalities``, [G] text each; and of
``network``, which says whose embeddings they are.
"""

import fnmatch
import os
import zipfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cmnas_tf.errors import BadInput
from cmnas_tf.files import write_arrays
from cmnas_tf.reading import no_device
from cmnas_tf.serving.entries import Entry

_LARGEST = 1.01  # entry of an embedding of norm 1, however it was rounded


class Matches(NamedTuple):
    """The best matches of each query, best first.

    Attributes:
      ids, cameras: of the gallery's entries, [N, k] text.
      scores: cosine of the angle between the embeddings, [N, k] float32.
    """

    ids: np.ndarray
    cameras: np.ndarray
    scores: np.ndarray

    def of_query(self, row: int) -> list[tuple[str, str, float]]:
        """The id, camera and score of each match of a query."""
        return list(zip(*(column[row].tolist() for column in self), strict=True))


class Ranked(NamedTuple):
    """An entry that was found: its rank from 1 among all entries, and its score."""

    rank: int
    name: str
    id: str
    camera: str
    score: float


@dataclass(frozen=True)
class Gallery:
    """Embeddings and whose they are; the order of entries decides between equal scores.

    Attributes:
      network: digest of the network that made the embeddings, see ``network_digest``.
      embeddings: [G, D] float32, rows of norm 1.
      names, ids, cameras, modalities: [G] text.
    """

    network: str
    embeddings: np.ndarray
    names: np.ndarray
    ids: np.ndarray
    cameras: np.ndarray
    modalities: np.ndarray

    @classmethod
    def of(cls, network: str, entries: Sequence[Entry], embeddings: np.ndarray) -> "Gallery":
        """The gallery of these entries, in this order."""
        columns = zip(*entries, strict=True) if entries else [()] * len(Entry._fields)
        return cls(network, embeddings, *(np.array(column, dtype=str) for column in columns))

    @classmethod
    def joined(cls, parts: "Sequence[Gallery]") -> "Gallery":
        """The entries of galleries of one network, one after the other."""
        columns = zip(*(part._columns().values() for part in parts), strict=True)
        return cls(parts[0].network, *map(np.concatenate, columns))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Gallery":
        """Reads a gallery file.

        Raises:
          BadInput: there is no such file, or it is not one of ``build_gallery``.
        """
        try:
            columns = _columns_in(no_device(path), list(cls.__dataclass_fields__))
        except Exception as error:  # zipfile and NumPy raise whatever a damaged file leads them to
            raise BadInput(
                f"{path} is no gallery file: {error}. Make one with `build_gallery`."
            ) from error
        return cls(**{**columns, "network": str(columns["network"])})

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the file, whole or not at all."""
        write_arrays(path, vars(self))

    @property
    def entries(self) -> "Gallery":
        """What is known of each entry."""
        return self

    def parts(self) -> "Iterator[Gallery]":
        """All entries, for who takes those of larger galleries a part at a time."""
        yield self

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, rows: np.ndarray) -> "Gallery":
        """The entries selected by a mask or by indices."""
        return replace(self, **{name: column[rows] for name, column in self._columns().items()})

    def with_entries(self, other: "Gallery") -> "Gallery":
        """Entries of ``other`` in the places of those with their names, new ones at the end."""
        row_of = {name: row for row, name in enumerate([*self.names, *other.names])}
        order = list(row_of.values())  # the last row of each name, in the place of the first
        columns: dict[str, Any] = {
            name: np.concatenate([column, getattr(other, name)])[order]
            for name, column in self._columns().items()
        }
        return replace(self, **columns)

    def _columns(self) -> dict[str, np.ndarray]:
        return {name: column for name, column in vars(self).items() if name != "network"}

    def matching(self, patterns: Sequence[str]) -> np.ndarray:
        """[G] bool: the name of an entry is one of the patterns, or fits one (``*``, ``?``).

        Raises:
          BadInput: a pattern fits no entry.
        """
        found = np.zeros(len(self), bool)
        for pattern in patterns:
            fits = np.array([fnmatch.fnmatchcase(name, pattern) for name in self.names], bool)
            if not fits.any():
                raise BadInput(
                    f"{pattern!r} is no entry of the gallery. Entries are named by their path, "
                    "such as visible/cam1/<id>/<file>; * stands for any text."
                )
            found |= fits
        return found

    def check_network(self, digest: str, where: str) -> None:
        """Raises BadInput if another network, with another ``digest``, made the gallery."""
        if self.network != digest:
            raise BadInput(
                f"{where} was made by another network ({self.network[:12]}, not {digest[:12]}), "
                "and embeddings of two networks cannot be compared. Build it anew with "
                "`build_gallery` and this checkpoint."
            )

    def require_any(self, where: str) -> None:
        """Raises BadInput if there are no entries."""
        if not len(self):
            raise BadInput(f"{where} has no entries; add some with `build_gallery`.")

    def scores(self, embedding: np.ndarray) -> np.ndarray:
        """The cosine of each query [N, D] float32, rows of norm 1, and each entry, [N, G] float32.

        Raises:
          BadInput: the queries' embeddings are of another size than the gallery's.
        """
        given, own = embedding.shape[1], self.embeddings.shape[1]
        if given != own:
            raise BadInput(
                f"`gallery` has embeddings of {own} numbers, the answer one of {given}: another "
                "network made it. Give the gallery that was searched."
            )
        # Summed in float64 and rounded: equal entries get equal scores, wherever they stand.
        return (embedding.astype(np.float64) @ self.embeddings.T).astype(np.float32)

    def search(self, embedding: np.ndarray, k: int, camera: Sequence[str] | None = None) -> Matches:
        """The exact best matches; of those whose scores are equal in float32, the first ones.

        Args:
          embedding: of the queries, [N, D] float32, rows of norm 1.
          k: number of matches.
          camera: of each query, [N]: entries of that camera are left out; "" leaves out none.

        Raises:
          BadInput: ``k`` is less than 1, or more than the entries that are not left out.
        """
        scores = self.scores(embedding)  # [N, G]
        cameras = np.array(camera or [""] * len(embedding), dtype=str)
        left_out = (cameras[:, None] == self.cameras) & (cameras != "")[:, None]  # [N, G]
        check_k(k, len(self) - left_out.sum(axis=1).max(initial=0))
        best = np.argsort(np.where(left_out, np.inf, -scores), axis=1, kind="stable")[:, :k]
        found = np.take_along_axis(scores, best, axis=1)
        return Matches(self.ids[best], self.cameras[best], found)

    def ranked(self, embedding: np.ndarray, k: int, cameras: Collection[str] = ()) -> list[Ranked]:
        """The exact best matches of a query, best first, and which of all entries they are.

        Args:
          embedding: of the query, [1, D] float32 of norm 1.
          k: number of matches at most.
          cameras: of the entries that are answered; by default of all.
        """
        (scores,) = self.scores(embedding)
        order = np.argsort(-scores, kind="stable")
        places = np.flatnonzero(np.isin(self.cameras[order], list(cameras)) | (not cameras))[:k]
        columns = self.names, self.ids, self.cameras, scores
        found = zip(*(column[order[places]].tolist() for column in columns), strict=True)
        return [
            Ranked(rank, *entry) for rank, entry in zip((places + 1).tolist(), found, strict=True)
        ]


def _columns_in(path: Path, names: Sequence[str]) -> dict[str, Any]:
    """The arrays of a gallery file; raises any error if they are not of one form and range."""
    with np.load(path, allow_pickle=False) as archive:
        for member in archive.zip.infolist():
            if member.compress_type != zipfile.ZIP_STORED:  # a little would unfold to much
                raise ValueError(f"{member.filename} is compressed")
        columns = {name: archive[name] for name in names}
    network, embeddings, *texts = (columns[name] for name in names)
    kinds = {(text.shape, text.dtype.kind, text.dtype.itemsize > 0) for text in texts}
    if network.shape or kinds != {(embeddings.shape[:1], "U", True)}:
        raise ValueError("its columns are not as long as each other, or not text")
    is_table = embeddings.ndim == 2 and embeddings.dtype == np.float32
    if not is_table or not (np.abs(embeddings) <= _LARGEST).all():
        raise ValueError("its embeddings are not float32 of norm 1")
    return columns


def check_k(k: int, entries: int) -> None:
    """Raises BadInput if ``k`` matches cannot be found among so many entries."""
    if not 1 <= k <= entries:
        raise BadInput(f"k={k} must be 1 to {entries}, the entries that may be answered.")
