"""From images to a gallery, embedded by the network that will be searched with."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from cmnas_tf.errors import BadInput
from cmnas_tf.files import locked
from cmnas_tf.progress import progress_bar
from cmnas_tf.reading import read_bytes
from cmnas_tf.runs.checkpoints import state_digest
from cmnas_tf.serving.encoder import Encoder
from cmnas_tf.serving.entries import Entry, entries_of
from cmnas_tf.serving.gallery import Gallery
from cmnas_tf.serving.reading_images import read_files
from cmnas_tf.serving.searchable import FORMS, load_gallery, open_gallery
from cmnas_tf.serving.store import SUFFIX, Store
from cmnas_tf.training.trained import TrainedNetwork

_BATCH = 32


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
        another gallery file or store.
      replace: whether to replace entries that have the name of one to add.
      remove: names of entries, or patterns such as ``*/cam3/*``.
      progress: whether to show a bar.

    Raises:
      BadInput: a gallery of another network, an entry to remove that is not there, one to add that
        is, or an image that cannot be read.
    """
    file = Path(gallery)
    if file.suffix not in FORMS:
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
        replaced, more = 0, nothing
        if add:
            images = [] if Path(add).suffix in FORMS else entries_of(Path(add))
            more = nothing if images else load_gallery(add)
            more.check_network(digest, os.fspath(add))
            present = set(before.names[~gone])
            adding = [*more.names, *(image.name for image in images)]
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
            found = found[~gone].with_entries(more)
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
    """The gallery of images in a folder, read and embedded as by an exported model."""
    model.check_trained_on(*{entry.modality for entry in entries})
    encoder, size = Encoder(model.network, model.specification, frozen=True), model.specification
    embeddings = np.empty((len(entries), encoder.size), np.float32)

    def embed_files(modality: str, image_bytes: tf.Tensor) -> tf.Tensor:
        pixels = read_files(image_bytes, size.height, size.width, grey16=size.grey16)
        return encoder.embed(pixels, modality)

    with progress_bar(len(entries), "image", progress) as bar:
        for modality in size.modalities:
            rows = [row for row, entry in enumerate(entries) if entry.modality == modality]
            embed = tf.function(
                partial(embed_files, modality),
                input_signature=[tf.TensorSpec([None], tf.string)],
                autograph=False,
            )
            for start in range(0, len(rows), _BATCH):
                batch = rows[start : start + _BATCH]
                embeddings[batch] = _embed(embed, [folder / entries[row].name for row in batch])
                bar.update(len(batch))
    return Gallery.of(network_digest(model), entries, embeddings)


def _embed(embed: Callable[[tf.Tensor], tf.Tensor], files: list[Path]) -> np.ndarray:
    """The embeddings of image files, [N, D]."""
    try:
        return embed(tf.constant([read_bytes(file) for file in files])).numpy()
    except (OSError, tf.errors.InvalidArgumentError) as error:
        if len(files) > 1:  # one after the other, to name the one
            return np.concatenate([_embed(embed, [file]) for file in files])
        refused = re.search(r"assertion failed: (.*)", str(error))
        reason = re.sub(r"[\[\]]", "", refused[1]) if refused else str(error)
        raise BadInput(
            f"{files[0]} cannot be embedded: {reason}. Correct it, or take it out of the folder."
        ) from error
