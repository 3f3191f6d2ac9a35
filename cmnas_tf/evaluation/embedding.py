"""Embedding test images on all devices of a strategy."""

from dataclasses import replace

import numpy as np
import tensorflow as tf

from cmnas_tf.data.pipeline import ImageSource
from cmnas_tf.devices.distribution import map_over_replicas
from cmnas_tf.devices.workers import cluster_of, gather_rows
from cmnas_tf.modality import MODALITIES
from cmnas_tf.models import ReidNetwork
from cmnas_tf.retrieval.embed import embed


def embed_on_devices(
    strategy: tf.distribute.Strategy,
    network: ReidNetwork,
    source: ImageSource,
    batch: int,
    progress: bool = False,
    flip_average: bool = False,
) -> np.ndarray:
    """What :func:`cmnas_tf.retrieval.embed.embed` gives, computed by all workers and devices.

    Each device takes whole batches, the very ones that a single device would compute.

    Args:
      strategy: in whose scope the network was made; each worker must call this function.
      network, source, batch, flip_average: see ``embed``.
      progress: whether the chief shows a bar, for its own share.

    Returns:
      [N, D] float32, all of it on every worker.
    """
    cluster = cluster_of(strategy)
    shares = _deal(source.images.modalities, batch, len(cluster.addresses))
    own = replace(source, images=source.images[shares[cluster.index]])
    shown = progress and cluster.index == 0
    found = embed(network, own, batch, shown, flip_average, map_over_replicas(strategy))
    embeddings = np.empty((len(source.images), found.shape[1]), found.dtype)
    embeddings[np.concatenate(shares)] = gather_rows(strategy, found)
    return embeddings


def _deal(modalities: np.ndarray, batch: int, workers: int) -> list[np.ndarray]:
    """By worker, the row numbers of its batches; of few batches, one may be dealt twice."""
    of_modality = [np.flatnonzero(modalities == modality) for modality in MODALITIES]
    batches = [
        rows[start : start + batch] for rows in of_modality for start in range(0, len(rows), batch)
    ]
    return [np.concatenate(batches[w % len(batches) :: workers]) for w in range(workers)]
