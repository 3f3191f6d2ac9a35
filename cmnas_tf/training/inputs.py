"""From settings to training images: what search and training begin with."""

import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from cmnas_tf.data import load_dataset
from cmnas_tf.data.augment import Augmentation
from cmnas_tf.data.index import Dataset, Images
from cmnas_tf.data.pipeline import (
    ImageSource,
    Share,
    naming_unreadable,
    training_batches,
)
from cmnas_tf.data.sampler import IdentitySampler
from cmnas_tf.data.verify import unreadable
from cmnas_tf.errors import BadInput
from cmnas_tf.settings import Data


def load_readable(data: Data, part: str) -> tuple[Dataset, tuple[str, ...]]:
    """Loads a data set; with ``--skip_unreadable`` without the images that cannot be read.

    What was left out, and what the loader noticed, is said on stderr.

    Args:
      data: which data set.
      part: ``"train"`` or ``"test"``: the images that are going to be used.

    Returns:
      The data set, and the files left out.
    """
    dataset = load_dataset(data.dataset, data.data_dir, data.trial)
    images: Images = getattr(dataset, part)
    bad = unreadable(images, dataset.root) if data.skip_unreadable else {}
    notes = list(dataset.notes)
    if bad:
        path, why = next(iter(bad.items()))
        notes.append(f"left out {len(bad)} unreadable images, the first of them {path}: {why}")
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    kept: dict[str, Any] = {part: images[~np.isin(images.paths, list(bad))]}
    return replace(dataset, **kept), tuple(bad)


@dataclass(frozen=True)
class TrainingImages:
    """The training images of a data set, and how batches are made of them.

    Attributes:
      dataset: as loaded, without the images left out.
      settings: of the command; its groups ``data``, ``input``, ``batch``, ``pipeline``, ``run``.
    """

    dataset: Dataset
    settings: Any

    @classmethod
    def load(cls, settings: Any) -> "TrainingImages":
        """Loads the data set of ``settings.data``."""
        dataset, _ = load_readable(settings.data, "train")
        return cls(dataset, settings)

    def of_modality(self, modality: str) -> "TrainingImages":
        """Those of one modality, or with ``"all"`` these.

        Raises:
          BadInput: there is no image of this modality.
        """
        if modality == "all":
            return self
        if modality not in self.dataset.modalities:
            raise BadInput(
                f"--modality={modality}: the images are all {', '.join(self.dataset.modalities)}. "
                "Leave the flag out, or give other images."
            )
        train = self.dataset.train.of_modality(modality)
        return replace(self, dataset=replace(self.dataset, train=train))

    def naming_unreadable(self) -> AbstractContextManager[None]:
        """While batches are read: an unreadable file becomes a ``BadInput`` that names it."""
        return naming_unreadable(self.dataset.train, Path(self.dataset.root))

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
            pipeline.pad,
            pipeline.flip_probability,
            pipeline.erase_probability,
            pipeline.channel_exchange_probability,
            pipeline.greyscale_probability,
        )
        return training_batches(source, sampler, augmentation, start, stop, share)
