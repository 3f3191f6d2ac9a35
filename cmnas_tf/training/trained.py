"""A trained network: from the checkpoint that holds it to embeddings."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from cmnas_tf.data.augment import normalize
from cmnas_tf.data.decode import resize
from cmnas_tf.data.index import Dataset, Image, Images
from cmnas_tf.data.pipeline import ImageSource
from cmnas_tf.errors import BadInput
from cmnas_tf.modality import MODALITIES
from cmnas_tf.models import ReidNetwork
from cmnas_tf.models.precision import computed_in
from cmnas_tf.models.specification import Specification
from cmnas_tf.retrieval.embed import BATCH, embed
from cmnas_tf.runs import checkpoints
from cmnas_tf.runs.run_folder import RunFolder

SPECIFICATION = "specification"  # its key in a checkpoint's metadata
PARTS = {"average": "average", "live": "network"}


@dataclass(frozen=True)
class TrainedNetwork:
    """A trained network and where it came from.

    Attributes:
      network: with the checkpoint's weights.
      specification: how it was built.
      checkpoint: the file it was read from.
      weights: ``"average"``, the moving average, or ``"live"``, the last step's weights.
      run: the folder of its run; of a checkpoint that lies elsewhere, the folder it lies in.
    """

    network: ReidNetwork
    specification: Specification
    checkpoint: checkpoints.Checkpoint
    weights: str
    run: RunFolder

    def __repr__(self) -> str:
        architecture, size = self.specification.architecture, self.specification
        return (
            f"TrainedNetwork({architecture.backbone}, {size.height}x{size.width}, "
            f"step {self.checkpoint.step})"
        )

    @property
    def embedding_size(self) -> int:
        """D, the length of an embedding."""
        return self.network.embedding_size

    def embed_files(
        self, files: Sequence[str | os.PathLike[str]], modality: str, batch: int = BATCH
    ) -> np.ndarray:
        """Embeds image files, read and resized as in training.

        Args:
          files: paths of images.
          modality: of all of them, ``"visible"`` or ``"infrared"``.
          batch: images at a time.

        Returns:
          [N, D] float32, rows of norm 1, in the order of the files.

        Raises:
          BadInput: another modality, one that the network was not trained on, or an image that
            cannot be read; it is named.
        """
        self.check_trained_on(modality)
        paths = [str(Path(file).absolute()) for file in files]
        images = Images.of(Image(path, 0, 0, modality) for path in paths)
        return self._embed(images, Path("/"), batch)

    def embed_images(self, images: np.ndarray, modality: str, batch: int = BATCH) -> np.ndarray:
        """Embeds images in memory.

        Args:
          images: [N, h, w, 3] uint8, RGB, of any size; resized as in training.
          modality: of all of them, ``"visible"`` or ``"infrared"``.
          batch: images at a time.

        Returns:
          [N, D] float32, rows of norm 1.

        Raises:
          BadInput: another shape, dtype or modality, or one that the network was not trained on.
        """
        images = np.asarray(images)
        if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
            raise BadInput(
                "images must be an array [N, h, w, 3] of uint8, RGB. "
                f"Received: shape {images.shape}, {images.dtype}"
            )
        self.check_trained_on(modality)
        size, parts = self.specification, [np.empty((0, self.embedding_size), np.float32)]
        for start in range(0, len(images), batch):
            pixels = normalize(resize(images[start : start + batch], size.height, size.width))
            found = self.network.embed(pixels, modality).embedding
            parts.append(tf.math.l2_normalize(found, axis=1).numpy())
        return np.concatenate(parts)

    def embed_dataset(
        self, dataset: Dataset, batch: int = BATCH, progress: bool = False
    ) -> np.ndarray:
        """Embeds the test images of a data set: [N, D] float32, rows of norm 1, in their order."""
        self.check_trained_on(*set(dataset.test.modalities))
        return self._embed(dataset.test, Path(dataset.root), batch, progress)

    def _embed(self, images: Images, root: Path, batch: int, progress: bool = False) -> np.ndarray:
        if not len(images):
            return np.empty((0, self.embedding_size), np.float32)
        return embed(self.network, self.source(images, root), batch, progress)

    def source(self, images: Images, root: Path) -> ImageSource:
        """The pixels of images in the folder ``root``, read and resized as in training."""
        read = self.specification
        return ImageSource(images, root, read.height, read.width, grey16=read.grey16)

    def check_trained_on(self, *modalities: str) -> None:
        """Raises BadInput if the network never saw images of one of these modalities."""
        trained = self.specification.modalities
        for modality in modalities:
            if modality not in MODALITIES:
                words = " or ".join(MODALITIES)
                raise BadInput(f"modality={modality!r} is not allowed; it must be {words}.")
            if modality not in trained:
                raise BadInput(
                    f"The network was trained on {', '.join(trained)} images only, so modality="
                    f"{modality} has no norms of its own. Train it on images of both modalities."
                )


def load_network(
    source: str | os.PathLike[str] | RunFolder,
    weights: str = "average",
    precision: str = "float32",
) -> TrainedNetwork:
    """Reads a trained network; never gives one with random weights.

    Args:
      source: a checkpoint, or a run, whose newest checkpoint is taken.
      weights: ``"average"``: the moving average; ``"live"``: the last step's weights.
      precision: what the network computes in, see ``models.precision``.

    Raises:
      BadInput: there is no such checkpoint, or it does not hold a whole derived network.
    """
    if isinstance(source, RunFolder) or Path(source).is_dir():
        run = source if isinstance(source, RunFolder) else RunFolder(source)
        checkpoint = run.newest()
    else:
        run, checkpoint = RunFolder.around(Path(source)), checkpoints.read(Path(source))
    if checkpoint is None:
        raise BadInput(
            f"{run.path} holds no checkpoint; train there first (`train_network`), or give a "
            "checkpoint."
        )
    specification: Any = checkpoint.metadata.get(SPECIFICATION)
    if specification is None:
        raise BadInput(
            f"{checkpoint.path} is a checkpoint of a search; train the architecture it found with "
            "`train_network` and use that run's checkpoint."
        )
    specification = Specification.from_json(specification)
    with computed_in(precision):
        network = specification.build()
    checkpoint.restore({PARTS[weights]: network.get_weight_paths()})
    return TrainedNetwork(network, specification, checkpoint, weights, run)
