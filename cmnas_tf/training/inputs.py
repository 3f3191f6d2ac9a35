"""From settings to training images: what search and training begin with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from cmnas_tf.data import load_dataset
from cmnas_tf.data.augment import Augmentation
from cmnas_tf.data.index import Dataset, Images
from cmnas_tf.data.pipeline import ImageSource, Share, training_batches, unreadable
from cmnas_tf.data.sampler import IdentitySampler


@dataclass(frozen=True)
class TrainingImages:
    """The training images of a data set, and how batches are made of them.

    Attributes:
      dataset: as loaded.
      images: its training images, without those left out.
      left_out: unreadable files that ``--skip_unreadable`` left out.
      settings: of the command; its groups ``data``, ``input``, ``batch``, ``pipeline``, ``run``.
    """

    dataset: Dataset
    images: Images
    left_out: tuple[str, ...]
    settings: Any

    @classmethod
    def load(cls, settings: Any) -> "TrainingImages":
        """Loads the data set of ``settings.data``."""
        data = settings.data
        dataset = load_dataset(data.dataset, data.data_dir, data.trial)
        bad = unreadable(dataset.train, dataset.root) if data.skip_unreadable else {}
        images = dataset.train[~np.isin(dataset.train.paths, list(bad))]
        return cls(dataset, images, tuple(bad), settings)

    @property
    def pids(self) -> np.ndarray:
        """The identities that have labels, ascending."""
        return np.unique(self.dataset.train.pids)

    def sampler(self, images: Images, stream: int) -> IdentitySampler:
        """Draws P x K batches from part of the images; ``stream`` tells samplers apart."""
        batch, seed = self.settings.batch, self.settings.run.seed
        return IdentitySampler(
            images,
            self.pids,
            batch.identities_per_batch,
            batch.images_per_identity,
            seed,
            stream,
        )

    def batches(
        self, sampler: IdentitySampler, start: int, stop: int, share: Share
    ) -> tf.data.Dataset:
        """Augmented batches of steps ``start`` .. ``stop - 1`` for a share of the devices."""
        size, pipeline = self.settings.input, self.settings.pipeline
        source = ImageSource(
            sampler.images,
            Path(self.dataset.root),
            size.image_height,
            size.image_width,
            pipeline.cache,
        )
        augmentation = Augmentation(
            pipeline.pad, pipeline.flip_probability, pipeline.erase_probability
        )
        return training_batches(
            source, sampler, augmentation, self.settings.run.seed, start, stop, share
        )
