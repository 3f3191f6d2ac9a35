"""Embeddings in parts, for more images than a gallery file is meant for: a folder of Parquet files.

The folder's name ends with ``.parquet``. Its files ``part-00000.parquet``, ... hold a row for each
image: the columns of :mod:`cmnas_tf.serving.image_list`, and ``vector``, D numbers. What is known
of all of them is in ``_manifest.json``, which is written last: programs that read a folder of
Parquet files pass over names that begin so.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cmnas_tf.data.findings import Finding, sentences
from cmnas_tf.errors import BadInput
from cmnas_tf.extras import needing
from cmnas_tf.files import replacing
from cmnas_tf.reading import read_json
from cmnas_tf.serving.gallery import Gallery

SUFFIX = ".parquet"
MANIFEST = "_manifest.json"

_ANEW = "Rerun `embed_in_bulk` to complete it."
_REFUSED = [{"path": str, "reason": str}]
_COUNTS = dict.fromkeys(("size", "images", "rows", "parts"), int)
_FORM = {"network": str, "refused": _REFUSED, **_COUNTS}
_TEXTS = ("path", "id", "camera", "modality")  # the names, ids, cameras, modalities of a gallery


@dataclass(frozen=True)
class Embedded:
    """The embeddings of many images, in parts that are read one after the other.

    Attributes:
      path: the folder.
      manifest: what its manifest says.
    """

    path: Path
    manifest: Mapping[str, Any]

    @classmethod
    def load(cls, path: Path) -> "Embedded":
        """Opens a folder of parts.

        Raises:
          BadInput: there is none, its parts are not complete, or PyArrow is not installed.
        """
        try:
            return cls(path, read_json(path / MANIFEST, _FORM, "a manifest of embeddings", _ANEW))
        except FileNotFoundError as error:
            raise BadInput(f"{path} holds no embeddings, or not all. {_ANEW}") from error

    def __str__(self) -> str:
        about = self.manifest
        refused = [Finding(one["path"], one["reason"]) for one in about["refused"]]
        found = f"{about['rows']:,} of {about['images']:,} images in {about['parts']:,} parts"
        return "\n".join([f"{self.path}: {found}", *sentences(refused)])

    def __len__(self) -> int:
        return self.manifest["rows"]

    def parts(self) -> Iterator[Gallery]:
        """All entries, in order, a part at a time."""
        return map(self.part, range(self.manifest["parts"]))

    @cached_property
    def entries(self) -> Gallery:
        """What is known of each entry, without embeddings."""
        parts = range(self.manifest["parts"])
        return Gallery.joined([self.part(number, vectors=False) for number in parts])

    def __getitem__(self, rows: np.ndarray) -> Gallery:
        """The entries selected by indices, in ascending order."""
        found, start = [], 0
        for part in self.parts():
            first, last = np.searchsorted(rows, [start, start + len(part)])
            found.append(part[rows[first:last] - start])
            start += len(part)
        return Gallery.joined(found)

    @cached_property
    def starts(self) -> list[int]:
        """The number of the first entry of each part."""
        total, found = 0, []
        for number in range(self.manifest["parts"]):
            found.append(total)
            with _reading(part_file(self.path, number)) as parquet:
                total += parquet.metadata.num_rows
        return found

    def part(self, number: int, vectors: bool = True) -> Gallery:
        """The entries of a part, from 0; with or without their embeddings."""
        with _reading(part_file(self.path, number)) as parquet:
            table = parquet.read([*_TEXTS, *(["vector"] if vectors else [])])
            rows = np.empty((len(table), 0), np.float32)
            if vectors:
                flat = table["vector"].combine_chunks().flatten().to_numpy()
                rows = flat.astype(np.float32, copy=False).reshape(-1, self.manifest["size"])
            texts = [np.array(table[name].to_pylist(), str) for name in _TEXTS]
            return Gallery(self.manifest["network"], rows, *texts)


def part_file(folder: Path, number: int) -> Path:
    """The file of a part, from 0."""
    return folder / f"part-{number:05}.parquet"


def write_part(
    file: Path, images: Mapping[str, Sequence[str]], vectors: np.ndarray, about: Mapping[str, Any]
) -> None:
    """Writes a part, whole or not at all.

    Args:
      file: its name.
      images: the columns of the list, each [N].
      vectors: [N, D] float32 or float16.
      about: JSON, for :func:`about_part`.
    """
    import pyarrow as pa
    from pyarrow import parquet

    rows = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    texts = {name: pa.array(column, pa.string()) for name, column in images.items()}
    table = pa.table({**texts, "vector": rows}, metadata={"about": json.dumps(about)})
    with replacing(file) as aside:
        parquet.write_table(table, aside, use_dictionary=[*texts], write_page_checksum=True)


def about_part(file: Path) -> dict[str, Any]:
    """What was written about a part; BadInput: it is damaged."""
    with _reading(file) as parquet:
        return json.loads(parquet.schema_arrow.metadata[b"about"])


@contextlib.contextmanager
def _reading(file: Path) -> Iterator[Any]:
    with needing("ray"):
        from pyarrow import parquet
    try:
        with parquet.ParquetFile(file, page_checksum_verification=True) as opened:
            yield opened
    except (OSError, ValueError, KeyError, TypeError) as error:  # PyArrow's are of these
        raise BadInput(
            f"{file} is no part of embeddings that can be read: {error}. Remove it, and embed the "
            "images again with `embed_in_bulk`."
        ) from error
