"""From a folder of images to a gallery, by the network that will be searched with."""

import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from cmnas_tf.errors import BadInput
from cmnas_tf.modality import MODALITIES
from cmnas_tf.progress import progress_bar
from cmnas_tf.runs.checkpoints import state_digest
from cmnas_tf.serving.encoder import Encoder
from cmnas_tf.serving.gallery import Entry, Gallery, entries_of
from cmnas_tf.serving.serving_module import ServingModule
from cmnas_tf.serving.signatures import EMBEDDING
from cmnas_tf.training.trained import TrainedNetwork

_BATCH = 32


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


def gallery_of(
    source: Gallery | str | os.PathLike[str], model: TrainedNetwork, progress: bool = False
) -> Gallery:
    """A gallery for a network: as it is, of a file, or of a folder of images, which are embedded.

    Raises:
      BadInput: another network made it, it has no entries, or an image is invalid.
    """
    if isinstance(source, Gallery):
        gallery, name = source, "The gallery"
    elif Path(source).is_dir():
        return embed_entries(model, Path(source), entries_of(Path(source)), progress)
    else:
        gallery, name = Gallery.load(source), os.fspath(source)
    gallery.check_network(network_digest(model), name)
    gallery.require_any(name)
    return gallery


def embed_entries(
    model: TrainedNetwork, folder: Path, entries: list[Entry], progress: bool = False
) -> Gallery:
    """Embeds images as an exported model does.

    Args:
      model: the network.
      folder: that the names of the entries start from.
      entries: in the order that the gallery is to have.
      progress: whether to show a bar.

    Raises:
      BadInput: an image cannot be read, or the network was not trained on its modality.
    """
    encoder = Encoder(model.network, model.specification, frozen=True)
    module = ServingModule(model.specification, encoder)
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
                    f"on {', '.join(model.specification.modalities)} images only."
                )
            embed = module.get_inference_signatures({name: name})[name]
            for start in range(0, len(rows), _BATCH):
                batch = rows[start : start + _BATCH]
                embeddings[batch] = _embed(embed, [folder / entries[row].name for row in batch])
                bar.update(len(batch))
    return Gallery.of(network_digest(model), entries, embeddings)


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
