"""From images to the embeddings that are compared."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from cmnas_tf.data.pipeline import ImageSource, naming_unreadable, test_batches
from cmnas_tf.modality import MODALITIES
from cmnas_tf.models import ReidNetwork
from cmnas_tf.progress import progress_bar


def embed(
    network: ReidNetwork,
    source: ImageSource,
    batch: int,
    progress: bool = False,
    flip_average: bool = False,
    each: Callable[..., Iterable[Any]] = map,
) -> np.ndarray:
    """L2-normalised embeddings of all images of ``source``, in its order.

    Args:
      network: a trained network.
      source: the images; each goes through its modality's normalisation.
      batch: images at a time.
      progress: whether to show a bar.
      flip_average: whether to take, before normalising, the average of the embeddings of each image
        and of its mirror image.
      each: called as ``each(function, batches)`` like the built-in ``map``; another one may use
        several devices.

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
            part = replace(source, images=source.images[rows])
            done = 0
            with naming_unreadable(part.images, part.root):
                embed_batch = partial(_embed, network, modality, flip_average)
                for found in each(embed_batch, test_batches(part, batch)):
                    embeddings |= zip(rows[done : done + len(found)], found.numpy(), strict=True)
                    done += len(found)
                    bar.update(len(found))
    return np.stack([embeddings[row] for row in range(len(source.images))])


def embed_batches(network: ReidNetwork, modality: str, batches: Iterable[tf.Tensor]) -> np.ndarray:
    """L2-normalised embeddings of batches [<= B, H, W, 3] of one modality, [N, D] float32."""
    return np.concatenate([_embed(network, modality, False, batch).numpy() for batch in batches])


@tf.function(autograph=False, reduce_retracing=True)
def _embed(network: ReidNetwork, modality: str, flip_average: bool, images: tf.Tensor) -> tf.Tensor:
    embedding = network.embed(images, modality).embedding
    if flip_average:
        mirrored = network.embed(tf.reverse(images, axis=[2]), modality).embedding
        embedding = (embedding + mirrored) / 2
    return tf.math.l2_normalize(embedding, axis=1)
