"""From image files to embeddings: what galleries are made of, of one image or of millions."""

import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import numpy as np
import tensorflow as tf

from cmnas_tf.serving.encoder import Encoder
from cmnas_tf.serving.reading_images import read_files
from cmnas_tf.training.trained import TrainedNetwork

Read = Callable[[Sequence[str]], list[bytes]]  # the content of files, by their names
Refused = dict[int, str]  # by row, why an image cannot be embedded

_BATCH = 32
_AHEAD = 2  # batches that are read and decoded while the network computes; our choice


class FileEmbedder:
    """Embeds image files by a trained network, which are read as by an exported model.

    Each batch is filled up to the same size, so sums are taken in the same order: an embedding is
    the same to the last bit, whichever images it is computed with.

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
    ) -> Iterator[tuple[list[int], np.ndarray, Refused]]:
        """Embeds images, each once; those of a modality in their order, a batch at a time.

        Args:
          names: of the images, [N].
          modalities: of each, [N].
          read: called in a thread. ``ValueError`` and ``FileNotFoundError`` refuse an image; any
            other error ends it all.

        Yields:
          Rows, [n], their embeddings, [n, D] float32 of norm 1, and what else was refused.

        Raises:
          BadInput: the network was not trained on a modality.
        """
        self._check(*dict.fromkeys(modalities))
        batches = []
        for modality in self._embed:
            rows = [row for row, other in enumerate(modalities) if other == modality]
            starts = range(0, len(rows), _BATCH)
            batches += [(modality, rows[start : start + _BATCH]) for start in starts]
        coming: deque[Future] = deque()
        with ThreadPoolExecutor(1) as thread:
            for number, (modality, rows) in enumerate(batches):
                for _, following in batches[number + len(coming) : number + 1 + _AHEAD]:
                    coming.append(thread.submit(self._pixels, following, names, read))
                pixels, refused = coming.popleft().result()
                taken = [row for row in rows if row not in refused]
                yield taken, self._embed[modality](pixels).numpy(), refused

    def _pixels(
        self, rows: Sequence[int], names: Sequence[str], read: Read
    ) -> tuple[tf.Tensor, Refused]:
        """[n, H, W, 3] uint8 of the images that can be read."""
        try:
            return self._decode(tf.constant(read([names[row] for row in rows]))), {}
        except (ValueError, FileNotFoundError, tf.errors.InvalidArgumentError) as error:
            if len(rows) == 1:
                return tf.zeros([0, *self._sides, 3], tf.uint8), {rows[0]: _reason(error)}
        each = [self._pixels([row], names, read) for row in rows]  # to tell which
        refused = {row: why for _, found in each for row, why in found.items()}
        return tf.concat([pixels for pixels, _ in each], axis=0), refused


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    refused = re.search(r"assertion failed: (.*)", str(error))
    return re.sub(r"[\[\]]", "", refused[1]) if refused else str(error)
