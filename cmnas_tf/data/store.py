"""Where the bytes of images are kept: a folder of files, or shards.

Everything that reads images asks a store for the bytes of a path and need not know which it is.

Shards are a data set's images and tables in a few large TFRecord files. A folder of them holds

- ``manifest.json``: which data set and trial this is, and size and SHA-256 of every other file;
- ``index.csv``: the tables, row by row, and where in the shards the bytes of each image are;
- ``00000.tfrecord`` ..: a ``tf.train.Example`` for each row, its features named as in the index and
  the bytes of the image file ``encoded``;
- files that a test protocol needs beside the images, where the data set has them.
"""

import csv
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import PathLike
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from cmnas_tf.data.index import ROLES, Dataset, Image, Images
from cmnas_tf.errors import BadInput
from cmnas_tf.files import sha256
from cmnas_tf.modality import MODALITIES
from cmnas_tf.reading import MOST_BYTES, read_bytes, read_json

if TYPE_CHECKING:
    import tensorflow as tf

T = TypeVar("T")

MANIFEST = "manifest.json"
INDEX = "index.csv"
SCHEMA_VERSION = 1
PARTS = ("train", "test")

_LISTED = [{"file": str, "bytes": int, "sha256": str}]
_FORM = {
    "layout": str,
    "trial": int,
    "fingerprint": str,
    "notes": [str],
    "names?": [str],
    "shards": _LISTED,
    "files": _LISTED,
}
_AT_A_TIME = 100
_ANEW = "Copy the folder again, or write it anew: `write_shards`"


@dataclass(frozen=True)
class FolderStore:
    """Image files in a folder; a path may be absolute as well."""

    root: Path

    def __contains__(self, path: str) -> bool:
        try:
            found = (self.root / path).stat()  # once: there may be many
        except (OSError, ValueError):
            return False
        return stat.S_ISREG(found.st_mode) and found.st_size <= MOST_BYTES

    def read(self, path: str) -> bytes:
        """The bytes of one image; raises as :func:`~cmnas_tf.reading.read_bytes`."""
        return read_bytes(self.root / path)

    def reader(self, paths: Sequence[str]) -> "Callable[[tf.Tensor], tf.Tensor]":
        """Gives ``read(row)`` for a graph: a scalar row number of ``paths`` -> scalar string."""
        import tensorflow as tf

        files = tf.constant([str(self.root / path) for path in paths])
        return lambda row: tf.io.read_file(files[row])

    def where(self, path: str) -> str:
        """Where an image is kept, for people to read."""
        return str(self.root / path)


class ShardStore:
    """The images in the folder of shards ``root``, used as a :class:`FolderStore`."""

    def __init__(self, root: Path):
        self.root = root
        self._places = {row.image.path: row.place for row in read_index(root)}
        self._files = {
            shard: (root / shard).open("rb", buffering=0)
            for shard in {place.shard for place in self._places.values()}
        }

    def __contains__(self, path: str) -> bool:
        return path in self._places

    def read(self, path: str) -> bytes:
        """See :class:`FolderStore`."""
        # Read at their position rather than through a memory map: other threads run meanwhile, and
        # a shard that is cut off while it is in use gives too few bytes, not a crash.
        shard, offset, length = self._places[path]
        return os.pread(self._files[shard].fileno(), length, offset)

    def reader(self, paths: Sequence[str]) -> "Callable[[tf.Tensor], tf.Tensor]":
        """See :class:`FolderStore`."""
        import tensorflow as tf

        def read(row: Any) -> bytes:
            return self.read(paths[row])

        return lambda row: tf.ensure_shape(tf.numpy_function(read, [row], tf.string, False), [])

    def where(self, path: str) -> str:
        """See :class:`FolderStore`."""
        return f"{path} in {self.root / self._places[path].shard}"


Store = FolderStore | ShardStore


def open_store(root: str | PathLike[str]) -> Store:
    """The images of the data set in the folder ``root``, files or shards."""
    root = Path(root)
    return ShardStore(root) if holds_shards(root) else FolderStore(root)


def in_threads(function: Callable[[str], T], paths: Sequence[str]) -> Iterator[T]:
    """``function`` of every path, in order; computed in threads, a limited number ahead."""
    with ThreadPoolExecutor() as threads:
        for start in range(0, len(paths), _AT_A_TIME):
            yield from threads.map(function, paths[start : start + _AT_A_TIME])


class ShardEntry(NamedTuple):
    """Where the bytes of an image file are: ``length`` bytes of ``shard`` from ``offset`` on."""

    shard: str
    offset: int
    length: int


class Row(NamedTuple):
    """A line of the index; ``part`` is ``"train"`` or ``"test"``."""

    part: str
    image: Image
    place: ShardEntry


COLUMNS = ("part", *Image._fields, *ShardEntry._fields)


def holds_shards(root: Path) -> bool:
    """Whether the folder ``root`` holds shards, or is meant to."""
    return (root / MANIFEST).is_file()


def layout_of_shards(root: Path) -> str:
    """The layout that shards were written from.

    Raises:
      BadInput: their manifest is damaged or of another version.
    """
    return str(_read_manifest(root)["layout"])


def read_shards(root: Path, layout: str, trial: int) -> Dataset:
    """The data set whose shards are in ``root``, as it was read from its own folder.

    Every file is read once and its checksum compared.

    Raises:
      BadInput: these are shards of another data set, trial or schema, or a file of them is missing,
        truncated or damaged.
    """
    manifest = _read_manifest(root)
    held, wanted = (manifest["layout"], manifest["trial"]), (layout, trial)
    if held != wanted:
        raise BadInput(
            f"{root} holds shards of {held[0]}, trial {held[1]}, not of {layout}, trial {trial}. "
            f"Give dataset={held[0]} trial={held[1]}, or shards of the other"
        )
    _verify(root, manifest)
    tables: dict[str, list[Image]] = {part: [] for part in PARTS}
    for row in read_index(root):
        tables[row.part].append(row.image)
    train, test = (Images.of(tables[part]) for part in PARTS)
    notes, names = tuple(manifest["notes"]), tuple(manifest.get("names", ()))
    dataset = Dataset(layout, root, train, test, notes, trial, names=names)
    if dataset.fingerprint != manifest["fingerprint"]:
        raise BadInput(
            f"{root / INDEX} lists another data set than {root / MANIFEST} names (its fingerprint "
            f"differs). {_ANEW}"
        )
    return dataset


def _read_manifest(root: Path) -> dict[str, Any]:
    file, what = root / MANIFEST, "a manifest of shards"
    version = read_json(file, {"schema_version": int}, what, _ANEW)["schema_version"]
    if version != SCHEMA_VERSION:
        raise BadInput(
            f"{file} is of schema version {version!r}; this program reads {SCHEMA_VERSION}. "
            "Write the shards with this program: `write_shards`"
        )
    manifest = read_json(file, _FORM, what, _ANEW)
    for listed in map(PurePath, (each["file"] for each in manifest["shards"] + manifest["files"])):
        if listed.is_absolute() or ".." in listed.parts:
            raise BadInput(f"{file} lists {listed}, which is not in its folder. {_ANEW}")
    return manifest


def _verify(root: Path, manifest: Mapping[str, Any]) -> None:
    """Raises BadInput unless every listed file is as it was written."""

    def wrong(listed: Mapping[str, Any]) -> str:
        file = root / listed["file"]
        if not file.is_file():
            return f"{file.name} is missing"
        size = file.stat().st_size
        if size != listed["bytes"]:
            return f"{file.name} has {size} bytes, not {listed['bytes']}"
        return "" if sha256(file) == listed["sha256"] else f"{file.name} is damaged (SHA-256)"

    with ThreadPoolExecutor() as threads:
        found = list(filter(None, threads.map(wrong, manifest["shards"] + manifest["files"])))
    if found:
        raise BadInput(f"The shards in {root} are not whole: {'; '.join(found)}. {_ANEW}")


def read_index(root: Path) -> Iterator[Row]:
    """The lines of an index; BadInput: it is damaged, or of another version."""
    shards = {listed["file"] for listed in _read_manifest(root)["shards"]}
    try:
        with (root / INDEX).open(newline="", encoding="utf-8") as file:
            lines = csv.reader(file)
            next(lines)
            for part, path, pid, camera, modality, role, *place in lines:
                entry = ShardEntry(place[0], *map(int, place[1:]))
                known = part in PARTS and modality in MODALITIES and role in ("", *ROLES)
                whole = entry.offset >= 0 and 0 <= entry.length <= MOST_BYTES
                if not known or not whole or entry.shard not in shards:
                    raise ValueError(f"line {lines.line_num}")
                yield Row(part, Image(path, int(pid), int(camera), modality, role), entry)
    except (ValueError, TypeError, IndexError, csv.Error, StopIteration) as error:
        raise BadInput(f"{root / INDEX} is not an index of shards ({error}). {_ANEW}") from error
