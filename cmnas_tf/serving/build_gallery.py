"""Adds, replaces and removes entries of a gallery file, and embeds no others."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cmnas_tf.errors import BadInput
from cmnas_tf.serving.gallery import Gallery, entries_of
from cmnas_tf.serving.gallery_images import embed_entries, network_digest
from cmnas_tf.training.trained import TrainedNetwork


class BuiltGallery(NamedTuple):
    """A gallery file, and how many entries changed in it; prints as a line."""

    file: Path
    gallery: Gallery
    removed: int
    replaced: int
    added: int

    def __str__(self) -> str:
        return (
            f"{self.file}: {len(self.gallery)} entries of {len(set(self.gallery.ids))} ids; "
            f"{self.removed} removed, {self.replaced} replaced, {self.added} added"
        )


def build_gallery(
    model: TrainedNetwork,
    gallery: str | os.PathLike[str],
    add: str | os.PathLike[str] | None = None,
    replace: bool = False,
    remove: Sequence[str] = (),
    progress: bool = True,
) -> BuiltGallery:
    """Removes entries of a gallery file, then adds others; makes the file where there is none.

    Entries keep their order, a replaced one its place, and new ones follow, sorted by name. The
    file is written whole, or stays as it was.

    Args:
      model: the trained network that embeds the images.
      gallery: the file; its name ends with ``.npz``.
      add: folder of images to add, ``{visible,infrared}/cam<camera>/<id>/*.{jpg,jpeg,png,bmp}``.
      replace: whether to embed images anew that the gallery has under the same name.
      remove: names of entries, or patterns such as ``*/cam3/*``.
      progress: whether to show a bar.

    Raises:
      BadInput: a gallery of another network, an entry to remove that is not there, one to add that
        is, or an image that cannot be read.
    """
    file = Path(gallery)
    if file.suffix != ".npz":
        raise BadInput(f"gallery={os.fspath(gallery)!r} must be a file name that ends with .npz.")
    if not (add or remove):
        raise BadInput("Nothing was to be changed: give add=FOLDER, or remove=NAMES, or both.")
    digest = network_digest(model)
    found = Gallery.of(digest, [], np.empty((0, model.embedding_size), np.float32))
    if file.exists():
        found = Gallery.load(file)
        found.check_network(digest, str(file))
    gone = found.matching(remove)
    found = found[~gone]
    added = replaced = 0
    if add:
        entries, present = entries_of(Path(add)), set(found.names)
        known = [entry.name for entry in entries if entry.name in present]
        if known and not replace:
            raise BadInput(
                f"{file} has {known[0]} and {len(known) - 1} more of {add} already. Give `replace` "
                "to embed them anew, or `remove` to remove them first."
            )
        found = found.with_entries(embed_entries(model, Path(add), entries, progress))
        replaced, added = len(known), len(entries) - len(known)
    found.save(file)
    return BuiltGallery(file, found, int(gone.sum()), replaced, added)
