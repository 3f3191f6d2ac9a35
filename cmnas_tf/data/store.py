"""Where the bytes of images are kept: a folder of files, or shards.

Everything that reads images asks a store for the bytes of a path and need not know which it is.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from cmnas_tf.data import shards

if TYPE_CHECKING:
    import tensorflow as tf

T = TypeVar("T")

_AT_A_TIME = 100


class Store(Protocol):
    """The bytes of image files, by the paths of a data set's tables."""

    def __contains__(self, path: str) -> bool:
        """Whether there is an image of that path."""

    def read(self, path: str) -> bytes:
        """The bytes of one image; raises OSError."""

    def reader(self, paths: Sequence[str]) -> "Callable[[tf.Tensor], tf.Tensor]":
        """Gives ``read(row)`` for a graph: a scalar row number of ``paths`` -> scalar string."""

    def where(self, path: str) -> str:
        """Where an image is kept, for people to read."""


@dataclass(frozen=True)
class FolderStore:
    """Image files in a folder; a path may be absolute as well."""

    root: Path

    def __contains__(self, path: str) -> bool:
        return (self.root / path).is_file()

    def read(self, path: str) -> bytes:
        """See :class:`Store`."""
        return (self.root / path).read_bytes()

    def reader(self, paths: Sequence[str]) -> "Callable[[tf.Tensor], tf.Tensor]":
        """See :class:`Store`."""
        import tensorflow as tf

        files = tf.constant([str(self.root / path) for path in paths])
        return lambda row: tf.io.read_file(files[row])

    def where(self, path: str) -> str:
        """See :class:`Store`."""
        return str(self.root / path)


def open_store(root: str | PathLike[str]) -> Store:
    """The images of the data set in the folder ``root``, files or shards."""
    root = Path(root)
    return shards.ShardStore(root) if shards.are_in(root) else FolderStore(root)


def in_threads(function: Callable[[str], T], paths: Sequence[str]) -> Iterator[T]:
    """``function`` of every path, in order; computed in threads, a limited number ahead."""
    with ThreadPoolExecutor() as threads:
        for start in range(0, len(paths), _AT_A_TIME):
            yield from threads.map(function, paths[start : start + _AT_A_TIME])
