"""What can be searched, told apart by its path: a gallery file, a store or an index of FAISS."""

import os
from pathlib import Path

from cmnas_tf.errors import BadInput
from cmnas_tf.serving.faiss_index import FaissIndex
from cmnas_tf.serving.gallery import Gallery
from cmnas_tf.serving.store import ALL, SUFFIX, Choice, Store

FORMS = (".npz", SUFFIX)  # how a gallery file and a store end


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
    """The entries of a gallery file or of a store, with their embeddings; raises likewise."""
    found = open_gallery(path)
    return found.gallery() if isinstance(found, Store) else found
