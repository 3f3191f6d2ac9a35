"""From image files to embeddings: what galleries are made of, one image or millions."""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np
import tensorflow as tf

from cmnas_tf.serving.encoder import Encoder
from cmnas_tf.serving.reading_images import read_files
from cmnas_tf.training.trained import TrainedNetwork

S = TypeVar("S")
T = TypeVar("T")
Read = Callable[[Sequence[str]], list[bytes]]

_BATCH = 32
_AHEAD = 2  # batches that are read and decoded while the network computes; our choice


class EmbeddedBatch(NamedTuple):
    """Some of the images: ``embeddings`` [n, D] float32 of norm 1 of these rows, [n], and, by row,
    why an image could not be embedded."""

    rows: np.ndarray
    embeddings: np.ndarray
    refused: dict[int, str]


class FileEmbedder:
    """Embeds image files by a trained network, which are read as by an exported model.

    Every batch is filled up to the same size: sums are then taken in the same order, and an
    embedding is the same to the last bit whichever images it is computed with.

    Attributes:
      size: of an embedding.
    """

    def __init__(self, model: TrainedNetwork):
        form = model.specification
        encoder = Encoder(model.network, form, frozen=True)
        self.size, self._check = encoder.size, model.check_trained_on
        self._sides = form.height, form.width

        def embed(modality: str, pixels: tf.Tensor) -> tf.Tensor:
            count = tf.shape(pixels)[0]
            filled = tf.pad(pixels, [[0, _BATCH - count], [0, 0], [0, 0], [0, 0]])
            return encoder.embed(filled, modality)[:count]

        def compiled(function: Callable, *shape: int | None, dtype: tf.DType) -> Callable:
            spec = tf.TensorSpec(shape, dtype)  # traced now: threads must not do it
            return tf.function(function, autograph=False).get_concrete_function(spec)

        decode = partial(read_files, height=form.height, width=form.width, grey16=form.grey16)
        self._decode = compiled(decode, None, dtype=tf.string)
        self._embed = {
            modality: compiled(partial(embed, modality), None, *self._sides, 3, dtype=tf.uint8)
            for modality in form.modalities
        }

    def __call__(
        self, names: Sequence[str], modalities: Sequence[str], read: Read
    ) -> Iterator[EmbeddedBatch]:
        """Embeds images, each once; those of a modality in their order, a batch at a time.

        Args:
          names: of the images, [N].
          modalities: of each, [N].
          read: gives the bytes of images by their names; called in a thread. A ``ValueError`` or
            a file that is not there refuses the image; any other error ends it all.

        Raises:
          BadInput: the network was not trained on a modality.
        """
        self._check(*dict.fromkeys(modalities))
        rows_of: dict[str, list[int]] = {modality: [] for modality in self._embed}
        for row, modality in enumerate(modalities):
            rows_of[modality].append(row)
        batches = [
            (modality, rows[start : start + _BATCH])
            for modality, rows in rows_of.items()
            for start in range(0, len(rows), _BATCH)
        ]

        decoded = _ahead(lambda batch: self._decoded(batch[1], names, read), batches)
        for (modality, rows), (pixels, refused) in zip(batches, decoded, strict=True):
            taken = np.array([row for row in rows if row not in refused], int)
            yield EmbeddedBatch(taken, self._embed[modality](pixels).numpy(), refused)

    def _decoded(
        self, rows: list[int], names: Sequence[str], read: Read
    ) -> tuple[tf.Tensor, dict[int, str]]:
        """[n, H, W, 3] uint8 of the images that can be read, and by row why others cannot."""
        try:
            return self._decode(tf.constant(read([names[row] for row in rows]))), {}
        except (ValueError, FileNotFoundError, tf.errors.InvalidArgumentError) as error:
            if len(rows) == 1:
                return tf.zeros([0, *self._sides, 3], tf.uint8), {rows[0]: _reason(error)}
        each = [self._decoded([row], names, read) for row in rows]  # to tell which
        refused = {row: why for _, found in each for row, why in found.items()}
        return tf.concat([pixels for pixels, _ in each], axis=0), refused


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    refused = re.search(r"assertion failed: (.*)", str(error))
    return re.sub(r"[\[\]]", "", refused[1]) if refused else str(error)


def _ahead(function: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
    """``map`` in a thread, which is some results ahead, and no more."""
    with ThreadPoolExecutor(1) as thread:
        coming: deque = deque()
        for item in items:
            coming.append(thread.submit(function, item))
            if len(coming) > _AHEAD:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
