"""From images to a gallery, embedded by the network that will be searched with."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cmnas_tf.errors import BadInput
from cmnas_tf.files import locked
from cmnas_tf.progress import progress_bar
from cmnas_tf.reading import read_bytes
from cmnas_tf.runs.checkpoints import state_digest
from cmnas_tf.serving.embed_files import FileEmbedder
from cmnas_tf.serving.embedded import Embedded
from cmnas_tf.serving.entries import Entry, entries_of
from cmnas_tf.serving.gallery import Gallery
from cmnas_tf.serving.searchable import FORMS, load_gallery, open_gallery, open_parts
from cmnas_tf.serving.store import SUFFIX, Store
from cmnas_tf.training.trained import TrainedNetwork


class BuiltGallery(NamedTuple):
    """A gallery file or store, and how many entries changed in it; prints as a line."""

    file: Path
    gallery: Gallery | Store
    removed: int
    replaced: int
    added: int

    def __str__(self) -> str:
        entries = self.gallery.entries
        return (
            f"{self.file}: {len(entries)} entries of {len(set(entries.ids))} ids; "
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
    """Removes entries of a gallery file or store, then adds others; makes it where there is none.

    Entries keep their order, a replaced one its place, and new ones follow, sorted by name. It is
    changed as a whole, or stays as it was. Of several processes that change it each waits for the
    one before it.

    Args:
      model: the trained network that embeds the images.
      gallery: the file, whose name ends with ``.npz``, or a store's folder, with ``.lance``.
      add: folder of images to add, ``{visible,infrared}/cam<camera>/<id>/*.{jpg,png,bmp}``; or
        another gallery file or store, or embeddings of ``embed_in_bulk``.
      replace: whether to replace entries that have the name of one to add.
      remove: names of entries, or patterns such as ``*/cam3/*``.
      progress: whether to show a bar.

    Raises:
      BadInput: a gallery of another network, an entry to remove that is not there, one to add that
        is, or an image that cannot be read.
    """
    file = Path(gallery)
    if file.suffix not in (".npz", SUFFIX):
        raise BadInput(
            f"gallery={os.fspath(gallery)!r} must be a file name that ends with .npz, or the name "
            f"of a store, which ends with {SUFFIX}."
        )
    if not (add or remove):
        raise BadInput("Nothing was to be changed: give add=FOLDER, or remove=NAMES, or both.")
    digest = network_digest(model)
    nothing = Gallery.of(digest, [], np.empty((0, model.embedding_size), np.float32))
    with locked(file.with_name(f".{file.name}.lock"), os.fspath(file), wait=True):
        found = open_gallery(file) if file.exists() else nothing
        before = found.entries
        before.check_network(digest, str(file))
        gone = before.matching(remove)
        replaced = 0
        more: Gallery | Embedded = nothing
        if add:
            images = [] if Path(add).suffix in FORMS else entries_of(Path(add))
            more = nothing if images else open_parts(add)
            more.entries.check_network(digest, os.fspath(add))
            present = set(before.names[~gone])
            adding = [*more.entries.names, *(image.name for image in images)]
            known = [name for name in adding if name in present]
            if known and not replace:
                raise BadInput(
                    f"{file} has {known[0]} and {len(known) - 1} more of {add} already. Give "
                    "`replace` to replace them, or `remove` to remove them first."
                )
            more = _embedded(model, Path(add), images, progress) if images else more
            replaced = len(known)
        if file.suffix == SUFFIX:
            if not isinstance(found, Store):
                found = Store.create(file, digest, model.embedding_size)
            found.change(more, before.names[gone])
        elif isinstance(found, Gallery):
            found = found[~gone].with_entries(Gallery.joined([*more.parts()]))
            found.save(file)
    return BuiltGallery(file, found, int(gone.sum()), replaced, len(more) - replaced)


def gallery_of(
    source: Gallery | str | os.PathLike[str], model: TrainedNetwork, progress: bool = False
) -> Gallery:
    """A gallery for a network: as it is, of a file or store, or of images, which are embedded.

    Raises:
      BadInput: another network made it, it has no entries, or an image is invalid.
    """
    if isinstance(source, Gallery):
        gallery, name = source, "The gallery"
    elif Path(source).is_dir() and Path(source).suffix not in FORMS:
        return _embedded(model, Path(source), entries_of(Path(source)), progress)
    else:
        gallery, name = load_gallery(source), os.fspath(source)
    gallery.check_network(network_digest(model), name)
    gallery.require_any(name)
    return gallery


def network_digest(model: TrainedNetwork) -> str:
    """SHA-256 of all that an embedding depends on: weights, network and size of its input."""
    classifier = model.network.head.classifier.weights
    weights = {
        name: variable
        for name, variable in model.network.get_weight_paths().items()
        if not any(variable is other for other in classifier)
    }
    built = {**model.specification.to_json(), "num_classes": None}
    form = json.dumps(built, sort_keys=True) + state_digest({"encoder": weights})
    return hashlib.sha256(form.encode()).hexdigest()


def _embedded(
    model: TrainedNetwork, folder: Path, entries: Sequence[Entry], progress: bool
) -> Gallery:
    """The gallery of images in a folder."""
    embed, names = FileEmbedder(model), [entry.name for entry in entries]
    embeddings = np.empty((len(entries), embed.size), np.float32)

    def read(names: Sequence[str]) -> list[bytes]:
        return [read_bytes(folder / name) for name in names]

    with progress_bar(len(entries), "image", progress) as bar:
        for rows, found, refused in embed(names, [entry.modality for entry in entries], read):
            for row, reason in refused.items():
                raise BadInput(
                    f"{folder / names[row]} cannot be embedded: {reason}. Correct it, or take it "
                    "out of the folder."
                )
            embeddings[rows] = found
            bar.update(len(rows))
    return Gallery.of(network_digest(model), entries, embeddings)
