"""From images to the embeddings that are compared."""

import numpy as np
import tensorflow as tf

from cmnas_tf.data.index import Images
from cmnas_tf.data.pipeline import ImageSource, naming_unreadable, test_batches
from cmnas_tf.modality import MODALITIES
from cmnas_tf.models import ReidNetwork
from cmnas_tf.progress import progress_bar


def embed(
    network: ReidNetwork, source: ImageSource, batch: int, progress: bool = False
) -> np.ndarray:
    """L2-normalised embeddings of all images of ``source``, in its order.

    Args:
      network: a trained network.
      source: the images; each goes through its modality's normalisation.
      batch: images at a time.
      progress: whether to show a bar.

    Returns:
      [N, D] float32, rows of norm 1.

    Raises:
      BadInput: an image cannot be read; it is named.
    """
    embeddings: dict[int, np.ndarray] = {}
    with progress_bar(len(source.images), "image", progress) as bar:
        for modality in MODALITIES:
            rows = np.flatnonzero(source.images.modalities == modality)
            if not len(rows):
                continue
            part = ImageSource(
                source.images[rows], source.root, source.height, source.width, source.cache
            )
            done = 0
            with naming_unreadable(part.images, part.root):
                for images in test_batches(part, batch):
                    found = _embed(network, images, modality).numpy()
                    embeddings |= dict(zip(rows[done : done + len(found)], found, strict=True))
                    done += len(found)
                    bar.update(len(found))
    return np.stack([embeddings[row] for row in range(len(source.images))])


@tf.function(reduce_retracing=True)
def _embed(network: ReidNetwork, images: tf.Tensor, modality: str) -> tf.Tensor:
    return tf.math.l2_normalize(network.embed(images, modality).embedding, axis=1)


def rows_of(images: Images, part: Images) -> np.ndarray:
    """Where the images of ``part`` stand in ``images``; [len(part)] int64."""
    place = {path: row for row, path in enumerate(images.paths)}
    return np.array([place[path] for path in part.paths], np.int64)
