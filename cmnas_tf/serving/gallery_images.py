"""From a folder of images to a gallery, by the network that will be searched with."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from cmnas_tf.errors import BadInput
from cmnas_tf.modality import MODALITIES
from cmnas_tf.progress import progress_bar
from cmnas_tf.runs.checkpoints import state_digest
from cmnas_tf.serving.gallery import Entry, Gallery, entries_of
from cmnas_tf.serving.serving_module import EMBEDDING, Encoder, ServingModule
from cmnas_tf.training.trained import Trained

_BATCH = 32


def network_digest(trained: Trained) -> str:
    """SHA-256 of all that an embedding depends on: weights, network and size of its input."""
    classifier = trained.network.head.classifier.weights
    weights = {
        name: variable
        for name, variable in trained.network.get_weight_paths().items()
        if not any(variable is other for other in classifier)
    }
    built = {**trained.specification.to_json(), "num_classes": None}
    form = json.dumps(built, sort_keys=True) + state_digest({"encoder": weights})
    return hashlib.sha256(form.encode()).hexdigest()


def load_gallery(path: str, trained: Trained, progress: bool = False) -> Gallery:
    """A gallery for a network: of a file, or of a folder of images, which are embedded.

    Raises:
      BadInput: the file was made by another network, it has no entries, or an image is none.
    """
    if Path(path).is_dir():
        return embed_entries(trained, Path(path), entries_of(Path(path)), progress)
    gallery = Gallery.load(path)
    gallery.check_network(network_digest(trained), path)
    if not len(gallery):
        raise BadInput(f"{path} has no entries; add some with python -m export.build_index.")
    return gallery


def embed_entries(
    trained: Trained, folder: Path, entries: list[Entry], progress: bool = False
) -> Gallery:
    """Embeds images as an exported model does.

    Args:
      trained: the network.
      folder: that the names of the entries start from.
      entries: in the order that the gallery is to have.
      progress: whether to show a bar.

    Raises:
      BadInput: an image cannot be read, or the network was not trained on its modality.
    """
    encoder = Encoder(trained.network, trained.specification, frozen=True)
    module = ServingModule(trained.specification, encoder)
    embeddings = np.empty((len(entries), encoder.size), np.float32)
    with progress_bar(len(entries), "image", progress) as bar:
        for modality in MODALITIES:
            rows = [row for row, entry in enumerate(entries) if entry.modality == modality]
            if not rows:
                continue
            name = f"embed_{modality}"
            if name not in module.signatures:
                raise BadInput(
                    f"{folder / entries[rows[0]].name} is {modality}, and the network was trained "
                    f"on {', '.join(trained.specification.modalities)} images only."
                )
            embed = module.get_inference_signatures({name: name})[name]
            for start in range(0, len(rows), _BATCH):
                batch = rows[start : start + _BATCH]
                embeddings[batch] = _embed(embed, [folder / entries[row].name for row in batch])
                bar.update(len(batch))
    return Gallery.of(network_digest(trained), entries, embeddings)


def _embed(embed: Callable[[tf.Tensor], dict[str, tf.Tensor]], files: list[Path]) -> np.ndarray:
    """The embeddings of image files, [N, D]."""
    try:
        return embed(tf.constant([file.read_bytes() for file in files]))[EMBEDDING].numpy()
    except (OSError, tf.errors.InvalidArgumentError) as error:
        if len(files) > 1:  # one after the other, to name the one
            return np.concatenate([_embed(embed, [file]) for file in files])
        reason = re.search(r"assertion failed: \[(.*)\]", str(error))
        raise BadInput(
            f"{files[0]} cannot be embedded: {reason[1] if reason else error} Correct it, or take "
            "it out of the folder."
        ) from error
