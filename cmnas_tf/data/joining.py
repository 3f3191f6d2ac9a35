"""Several data sets to train on as if they were one."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cmnas_tf.data.index import Dataset
from cmnas_tf.data.store import holds_shards
from cmnas_tf.errors import BadInput


def join_datasets(datasets: Sequence[Dataset]) -> Dataset:
    """The training images of several data sets as one, their people and cameras kept apart.

    There are no test images: measure the trained network on each data set by itself. People who are
    held out are ranked by the camera rule of the first data set (our choice).

    Raises:
      BadInput: one is given twice or as shards, or they have images of different modalities.
    """
    roots = [Path(dataset.root).resolve() for dataset in datasets]
    first, cameras = datasets[0], 0
    train, names = first.train[:0], tuple[str, ...]()
    for number, (dataset, root) in enumerate(zip(datasets, roots, strict=True)):
        if root in roots[:number]:
            raise BadInput(f"data_dir={root} is given twice, as if its people were others.")
        if holds_shards(root):
            raise BadInput(f"data_dir={root} holds shards; give the folder that they are of.")
        if dataset.modalities != first.modalities:
            raise BadInput(
                f"data_dir={root} has {' and '.join(dataset.modalities)} images to train on, "
                f"{roots[0]} {' and '.join(first.modalities)} ones; all must have the same."
            )
        images, pids = dataset.train, np.unique(dataset.train.pids)
        paths = np.array([str(root / path) for path in images.paths], dtype=object)
        labels = len(names) + np.searchsorted(pids, images.pids)
        train += replace(images, paths=paths, pids=labels, cameras=images.cameras + cameras)
        names += tuple(f"{dataset.layout}/{name}" for name in dataset.people(pids))
        cameras += int(images.cameras.max()) + 1
    root, trial = Path(os.path.commonpath(roots)), max(dataset.trial for dataset in datasets)
    test, joined = first.test[:0], tuple(datasets)
    return Dataset(first.layout, root, train, test, trial=trial, names=names, joined=joined)


def weighted(joined: Dataset, pids: np.ndarray, weights: Sequence[float]) -> np.ndarray:
    """How probable each of ``pids`` is, [N] float64; the people of a data set share its weight.

    Raises:
      BadInput: there is not one weight for each of several data sets.
    """
    if len(weights) != len(joined.joined):
        given = len(joined.joined) or 1
        raise BadInput(
            f"dataset_weights={weights} must be for several data sets, one for each; here: {given}."
        )
    sizes = [len(np.unique(dataset.train.pids)) for dataset in joined.joined]
    of = np.repeat(np.arange(len(sizes)), sizes)[pids]  # [N], numbers of data sets
    shares = np.array(weights)[of] / np.bincount(of)[of]
    return shares / shares.sum()
