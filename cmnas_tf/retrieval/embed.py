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

BATCH = 64  # images at a time; our choice


def embed(
    network: ReidNetwork,
    source: ImageSource,
    batch: int = BATCH,
    progress: bool = False,
    flip_average: bool = False,
    each: Callable[..., Iterable[Any]] = map,
    by_xla: bool = False,
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
      by_xla: whether XLA compiles the network, see :func:`cmnas_tf.devices.xla.compiles`: a batch
        takes less time on a GPU, and each modality begins later, by 13 s for a ResNet-50.

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
            with naming_unreadable(part):
                batches = test_batches(part, batch)
                step = partial(embed_graph, network, modality, flip_average)
                if by_xla:
                    step = partial(embed_compiled, network, modality, flip_average, batch)
                elif each is map:  # one graph for batches of any length
                    embed_graph.get_concrete_function(
                        network, modality, flip_average, batches.element_spec
                    )
                for found in each(step, batches):
                    embeddings |= zip(rows[done : done + len(found)], found.numpy(), strict=True)
                    done += len(found)
                    bar.update(len(found))
    return np.stack([embeddings[row] for row in range(len(source.images))])


def embed_compiled(
    network: ReidNetwork, modality: str, flip_average: bool, batch: int, images: tf.Tensor
) -> tf.Tensor:
    """L2-normalised embeddings of [<= ``batch``, H, W, 3], by a program that XLA compiles.

    It is compiled for whole batches; the rows that one lacks are filled and left out again.
    """
    rows = len(images)
    filled = tf.pad(images, [[0, batch - rows], [0, 0], [0, 0], [0, 0]])
    return _compiled(network, modality, flip_average, filled)[:rows]


def _embedding(
    network: ReidNetwork, modality: str, flip_average: bool, images: tf.Tensor
) -> tf.Tensor:
    embedding = network.embed(images, modality).embedding
    if flip_average:
        mirrored = network.embed(tf.reverse(images, axis=[2]), modality).embedding
        embedding = (embedding + mirrored) / 2
    return tf.math.l2_normalize(embedding, axis=1)


# (network, modality, whether to average with the mirror image, [N, H, W, 3]) -> [N, D]
embed_graph = tf.function(_embedding, autograph=False, reduce_retracing=True)
_compiled = tf.function(_embedding, autograph=False, jit_compile=True)
