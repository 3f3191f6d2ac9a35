"""What a form of a trained network loses: its embeddings and scores beside the network's own."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from cmnas_tf.data.index import Dataset, Images
from cmnas_tf.data.pipeline import naming_unreadable
from cmnas_tf.data.protocols import Protocol
from cmnas_tf.options import described
from cmnas_tf.progress import progress_bar
from cmnas_tf.retrieval.measure import measure
from cmnas_tf.training.trained import TrainedNetwork

# One image [1, height, width, 3] uint8 -> its embedding [1, D] float32.
Embed = Callable[[np.ndarray], np.ndarray]

MEASURED = "measured.json"
_BATCH = 32


def accuracy_drop(
    model: TrainedNetwork,
    embed: Mapping[str, Embed],
    dataset: Dataset,
    protocol: Protocol,
    progress: bool = True,
) -> dict[str, Any]:
    """Compares embeddings of a data set's test images with those of the network.

    Args:
      model: the trained network.
      embed: its other form, by modality.
      dataset, protocol: who asks and who answers.
      progress: whether to show a bar meanwhile.

    Returns:
      JSON-ready: ``before`` and ``after``, the measures by setting of the protocol; ``cosine``
      between the embeddings before and after, ``mean`` and ``smallest``; ``protocol``.

    Raises:
      BadInput: an image cannot be read; it is named.
    """
    after = np.empty((len(dataset.test), model.embedding_size), np.float32)
    with progress_bar(len(after), "image", progress) as bar:
        bar.title = "comparing"
        for modality, embed_one in embed.items():
            rows = np.flatnonzero(dataset.test.modalities == modality)
            images = pixels_of(model, dataset, dataset.test, modality)
            for row, pixels in zip(rows, images, strict=True):
                after[row] = embed_one(pixels)
                bar.update()
    before = model.embed_dataset(dataset, _BATCH)
    # In eight bits a converted embedding's norm is only about 1.
    cosines = np.sum(before * after, axis=1) / np.linalg.norm(after, axis=1)
    return {
        "protocol": described([protocol]),
        "before": {m.setting: m.values for m in measure(before, dataset, protocol)},
        "after": {m.setting: m.values for m in measure(after, dataset, protocol)},
        "cosine": {"mean": float(cosines.mean()), "smallest": float(np.min(cosines))},
    }


def lines(measured: Mapping[str, Any]) -> Iterator[str]:
    """What :func:`accuracy_drop` found, to read."""
    cosine = measured["cosine"]
    yield (
        f"cosine to the network's embeddings: {cosine['mean']:.6f} on average, smallest "
        f"{cosine['smallest']:.6f}"
    )
    for setting, after in measured["after"].items():
        before = measured["before"][setting]
        changes = [
            f"{word} {100 * before[name]:.2f} -> {100 * after[name]:.2f}"
            for word, name in (("Rank-1", "rank1"), ("mAP", "mAP"))
        ]
        yield f"{setting}: {', '.join(changes)}"


def pixels_of(
    model: TrainedNetwork, dataset: Dataset, images: Images, modality: str, most: int | None = None
) -> Iterator[np.ndarray]:
    """Images of a modality as the network sees them, [1, height, width, 3] uint8 each.

    Args:
      model: whose input size they have.
      dataset, images: some of its images.
      modality: that is taken.
      most: how many at most, evenly over the table.

    Raises:
      BadInput: one cannot be read; it is named.
    """
    part = images.of_modality(modality)
    if most is not None:
        part = part[np.unique(np.linspace(0, len(part) - 1, most).astype(int))]
    source = model.source(part, Path(dataset.root))
    read = source.reader()
    with naming_unreadable(source):
        for row in range(len(part)):
            yield read(tf.constant(row)).numpy()[None]
