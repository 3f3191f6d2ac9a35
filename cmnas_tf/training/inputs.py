"""From a data set to training batches: what search and training begin with."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from cmnas_tf.data.index import Dataset, Images
from cmnas_tf.data.joining import weighted
from cmnas_tf.data.pipeline import ImageSource, Share, training_batches
from cmnas_tf.data.sampling import IdentitySampler
from cmnas_tf.training.recipe import WeightTraining


@dataclass(frozen=True)
class TrainingImages:
    """The training images of a data set, and how batches are made of them."""

    dataset: Dataset
    training: WeightTraining  # size, sampling, augmentation and reading of the images
    seed: int

    @property
    def pids(self) -> np.ndarray:
        """The identities that have labels, ascending."""
        return np.unique(self.dataset.train.pids)

    def sampler(self, images: Images, stream: int) -> IdentitySampler:
        """Draws P x K batches from part of the images; ``stream`` tells samplers apart."""
        sampling = self.training.sampling
        weights, pids = sampling.dataset_weights, np.unique(images.pids)
        probabilities = weighted(self.dataset, pids, weights) if weights else None
        return IdentitySampler(images, self.pids, sampling, self.seed, stream, probabilities)

    def source(self, images: Images) -> ImageSource:
        """The pixels of part of the images, as large as they enter the network."""
        size = self.training.size
        return ImageSource(
            images,
            Path(self.dataset.root),
            size.image_height,
            size.image_width,
            self.training.reading.cache,
            size.grey16_range,
        )

    def batches(
        self, sampler: IdentitySampler, start: int, stop: int, share: Share
    ) -> tf.data.Dataset:
        """Augmented batches of steps ``start`` .. ``stop - 1`` for a share of the devices."""
        source, augmentation = self.source(sampler.images), self.training.augmentation
        return training_batches(source, sampler, augmentation, start, stop, share)
