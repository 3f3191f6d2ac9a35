"""From a sampler to batches on the device: read, decode, augment, in parallel with the training."""

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from cmnas_tf.data.augment import Augmentation, normalize
from cmnas_tf.data.decode import decode
from cmnas_tf.data.index import Images
from cmnas_tf.data.sampler import IdentitySampler
from cmnas_tf.errors import BadInput


class Batch(NamedTuple):
    """One step's input, or one device's share of it.

    Attributes:
      images: ``{modality: [n, H, W, 3] float32}``, normalised, in the order of ``labels``.
      labels: [n] int32, the K rows of an identity next to each other.
    """

    images: dict[str, tf.Tensor]
    labels: tf.Tensor


@dataclass(frozen=True)
class ImageSource:
    """Decoded pixels of a table of images, by row number.

    Attributes:
      images: the table.
      root: folder the table's paths start from.
      height, width: size after resizing, in pixels.
      cache: ``"none"`` reads the file each time; ``"encoded"`` keeps the files' bytes and
        ``"decoded"`` the resized pixels (3 * height * width bytes an image) in memory.
    """

    images: Images
    root: Path
    height: int
    width: int
    cache: str = "none"

    def reader(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """Gives ``read(row)``: a scalar row number -> [H, W, 3] uint8; fills the cache first."""
        paths = tf.constant([str(self.root / path) for path in self.images.paths])
        encoded = self._each(tf.io.read_file, paths) if self.cache == "encoded" else None
        if self.cache == "decoded":
            pixels = self._each(lambda path: self._decode(tf.io.read_file(path)), paths)
            return lambda row: pixels[row]
        if encoded is not None:
            return lambda row: self._decode(encoded[row])
        return lambda row: self._decode(tf.io.read_file(paths[row]))

    def _decode(self, encoded: tf.Tensor) -> tf.Tensor:
        return decode(encoded, self.height, self.width)

    def _each(self, function: Callable[[tf.Tensor], tf.Tensor], paths: tf.Tensor) -> tf.Tensor:
        """``function`` of every path, stacked, in host memory."""
        values = tf.data.Dataset.from_tensor_slices(paths).map(function, **_IN_PARALLEL)
        with tf.device("CPU:0"), naming_unreadable(self.images, self.root):
            return values.batch(len(self.images)).get_single_element()


_READING_FAILED = (
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.FailedPreconditionError,
    tf.errors.PermissionDeniedError,
    tf.errors.DataLossError,
)
_IN_PARALLEL = {"num_parallel_calls": tf.data.AUTOTUNE, "deterministic": True}


@dataclass(frozen=True)
class Share:
    """Which part of each batch: shares ``first`` .. ``first + count - 1`` out of ``of``."""

    first: int = 0
    count: int = 1
    of: int = 1


def training_batches(
    source: ImageSource,
    sampler: IdentitySampler,
    augmentation: Augmentation,
    start: int,
    stop: int,
    share: Share = Share(),
) -> tf.data.Dataset:
    """Batches of steps ``start`` .. ``stop - 1``; each is a pure function of (seed, step).

    The seed is the sampler's, and so is the stream: two samplers of a run augment differently.

    Args:
      source: where pixels come from.
      sampler: which images each step takes.
      augmentation: what is done to them.
      start, stop: step numbers, counted from 0.
      share: the identities of a step are cut into ``share.of`` equal parts; for every step the
        dataset holds ``share.count`` elements, one for each part from ``share.first`` on.

    Returns:
      A dataset of :class:`Batch`.

    Raises:
      BadInput: the identities of a batch cannot be cut into that many equal parts.
    """
    identities, per_identity = sampler.identities_per_batch, sampler.images_per_identity
    if identities % share.of:
        raise BadInput(
            f"--identities_per_batch={identities} cannot be divided over {share.of} devices; use a "
            f"multiple of {share.of}, such as {-(-identities // share.of) * share.of}."
        )
    modalities = sampler.modalities
    streams = np.random.SeedSequence([sampler.seed, sampler.stream]).generate_state(2, np.uint32)
    streams = streams.astype(np.int64)  # of the augmentation of each modality
    rows_of_batch = identities * per_identity
    n = rows_of_batch // share.of

    def rows_of(element: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        step, part = divmod(int(element), share.count)
        drawn = sampler.draw(step)
        cut = slice((share.first + part) * n, (share.first + part + 1) * n)
        rows = [drawn.rows[modality][cut] for modality in modalities]
        return drawn.labels[cut], np.concatenate(rows)

    def draw(element: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        labels, rows = tf.numpy_function(rows_of, [element], (tf.int32, tf.int64), stateful=False)
        return tf.ensure_shape(labels, [n]), tf.ensure_shape(rows, [n * len(modalities)])

    def finish(element: tf.Tensor, labels: tf.Tensor, pixels: tf.Tensor) -> Batch:
        step, part = element // share.count, element % share.count
        images = {
            modality: augmentation(
                pixels[n * place : n * (place + 1)],
                tf.stack([tf.constant(streams[place]), step]),
                tf.cast(share.first + part, tf.int32) * n,
                rows_of_batch,
            )
            for place, modality in enumerate(modalities)
        }
        return Batch(images, labels)

    elements = tf.data.Dataset.range(start * share.count, stop * share.count)
    drawn = elements.map(draw, **_IN_PARALLEL)
    rows = drawn.flat_map(lambda _, rows: tf.data.Dataset.from_tensor_slices(rows))
    pixels = rows.map(source.reader(), **_IN_PARALLEL).batch(n * len(modalities), True)
    labels = drawn.map(lambda labels, _: labels)
    batches = tf.data.Dataset.zip((elements, labels, pixels)).map(finish, **_IN_PARALLEL)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return batches.prefetch(tf.data.AUTOTUNE).with_options(options)


def test_batches(source: ImageSource, batch: int) -> tf.data.Dataset:
    """All images of ``source`` in order, normalised, [<= batch, H, W, 3] float32."""
    pixels = tf.data.Dataset.range(len(source.images)).map(source.reader(), **_IN_PARALLEL)
    return pixels.batch(batch).map(normalize, **_IN_PARALLEL).prefetch(tf.data.AUTOTUNE)


def unreadable(images: Images, root: Path) -> dict[str, str]:
    """The files of ``images`` that are missing or no complete image: ``{path: reason}``."""

    def reason(path: str) -> str:
        try:
            decode(tf.io.read_file(str(root / path)), 8, 8)
        except tf.errors.NotFoundError:
            return "the file does not exist"
        except tf.errors.OpError as error:
            return f"not a complete JPEG, PNG or BMP image ({error.message.splitlines()[0]})"
        return ""

    with ThreadPoolExecutor() as threads:
        reasons = dict(zip(images.paths, threads.map(reason, images.paths), strict=True))
    return {path: why for path, why in reasons.items() if why}


@contextlib.contextmanager
def naming_unreadable(images: Images, root: Path) -> Iterator[None]:
    """Turns a failure to read one of ``images`` into a ``BadInput`` that names the file.

    The pipeline itself does not carry names; the files are looked through only when it failed.
    """
    try:
        yield
    except _READING_FAILED as error:
        found = unreadable(images, root)
        if not found:
            raise
        path, why = next(iter(found.items()))
        others = f", and {len(found) - 1} more like it" if len(found) > 1 else ""
        raise BadInput(
            f"Cannot read {root / path}: {why}{others}. Replace the file, or give "
            "--skip_unreadable to leave such images out and count them."
        ) from error
