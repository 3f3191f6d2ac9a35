"""Galleries by their path: a file, a store, an index of FAISS, or embeddings that become one."""

import os
from pathlib import Path

from cmnas_tf.errors import BadInput
from cmnas_tf.serving import embedded
from cmnas_tf.serving.faiss_index import FaissIndex
from cmnas_tf.serving.gallery import Gallery
from cmnas_tf.serving.store import ALL, SUFFIX, Choice, Store

# How a gallery file, a store and a folder of embeddings end.
FORMS = (".npz", SUFFIX, embedded.SUFFIX)


def open_searchable(
    path: str | os.PathLike[str], effort: int = 32, choice: Choice = ALL
) -> Gallery | Store | FaissIndex:
    """Opens what lies there, to search it.

    Args:
      path: a file of `build_gallery`, a store's folder, or that of an index of FAISS.
      effort: how far a store that has an index, or an index of FAISS, is searched.
      choice: which entries may be answered, of a store.

    Raises:
      BadInput: there is none, or it is damaged; or it is no store, and entries are to be chosen.
    """
    if Path(path).suffix == SUFFIX:
        return Store.load(Path(path), effort, choice)
    if choice != ALL:
        raise BadInput(
            f"{os.fspath(path)} is no store, and `cameras`, `since` and `until` choose entries of "
            "one. Put its gallery into a store with `build_gallery`, or leave them out."
        )
    return FaissIndex.load(path, effort) if Path(path).is_dir() else Gallery.load(path)


def open_gallery(path: str | os.PathLike[str]) -> Gallery | Store:
    """Opens a gallery file, or a store to search it; raises as :func:`open_searchable`."""
    return Store.load(Path(path)) if Path(path).suffix == SUFFIX else Gallery.load(path)


def load_gallery(path: str | os.PathLike[str]) -> Gallery:
    """The entries of what has one of :data:`FORMS`, with their embeddings; raises likewise."""
    return Gallery.joined([*open_parts(path).parts()])


def open_parts(path: str | os.PathLike[str]) -> Gallery | embedded.Embedded:
    """What :func:`load_gallery` loads; of a folder of embeddings one part after the other."""
    if Path(path).suffix == embedded.SUFFIX:
        return embedded.Embedded.load(Path(path))
    found = open_gallery(path)
    return found.gallery() if isinstance(found, Store) else found
