"""From a sampler to batches on the device: read, decode, augment, in parallel with the training."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from cmnas_tf.data.augment import augment, normalize
from cmnas_tf.data.augmentation import Augmentation
from cmnas_tf.data.decode import decode
from cmnas_tf.data.grey16 import Range
from cmnas_tf.data.index import Images
from cmnas_tf.data.sampling import IdentitySampler
from cmnas_tf.data.store import open_store
from cmnas_tf.data.verify import unreadable
from cmnas_tf.errors import BadInput
from cmnas_tf.machine import cores


class Batch(NamedTuple):
    """One step's input, or one device's share of it."""

    images: dict[str, tf.Tensor]  # by modality [n, H, W, 3] float32, normalised
    labels: tf.Tensor  # of the rows of each, [n] int32; the K of an identity stand together


@dataclass(frozen=True)
class ImageSource:
    """Decoded pixels of a table of images, by row number."""

    images: Images
    root: Path  # the data set's folder, of files or of shards
    height: int  # after resizing, in pixels; as the width
    width: int
    # "none" reads an image each time; "encoded" keeps the files' bytes and "decoded" the resized
    # pixels (3 * height * width bytes an image) in memory.
    cache: str = "none"
    grey16: Range = ()  # how greyscale images of 16 bits are read, see ``Grey16``

    def reader(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """Gives ``read(row)``: a scalar row number -> [H, W, 3] uint8; fills the cache first."""
        encoded = open_store(self.root).reader(self.images.paths.tolist())
        if self.cache == "encoded":
            encoded = self._kept(encoded)

        def pixels(row: tf.Tensor) -> tf.Tensor:
            return decode(encoded(row), self.height, self.width, self.grey16)

        return self._kept(pixels) if self.cache == "decoded" else pixels

    def _kept(self, function: Callable[[tf.Tensor], tf.Tensor]) -> Callable[[tf.Tensor], tf.Tensor]:
        """``function`` of a row number, computed for every row now and kept in host memory."""
        values = tf.data.Dataset.range(len(self.images)).map(_as_written(function), **_IN_PARALLEL)
        with tf.device("CPU:0"), naming_unreadable(self):
            kept = values.batch(len(self.images)).get_single_element()
        return lambda row: kept[row]


_READING_FAILED = (
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.FailedPreconditionError,
    tf.errors.PermissionDeniedError,
    tf.errors.DataLossError,
    tf.errors.UnknownError,
)
_IN_PARALLEL = {"num_parallel_calls": cores(), "deterministic": True}
# Nothing in the pipeline branches on a tensor; to look for that in its functions takes a second.
_as_written = tf.autograph.experimental.do_not_convert
_OPTIONS = tf.data.Options()
_OPTIONS.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
# TensorFlow 2.15's autotuning may sleep through the end of an iterator: the longer it ran, the
# longer, 7 s were seen. More calls at a time than cores would gain nothing.
_OPTIONS.autotune.enabled = False


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
    """:class:`Batch` of steps ``start`` .. ``stop - 1``; each a pure function of (seed, step).

    The seed is the sampler's, and so is the stream: two samplers of a run augment differently.

    Args:
      start, stop: step numbers, counted from 0.
      share: the identities of a step are cut into ``share.of`` equal parts; for every step the
        dataset holds ``share.count`` elements, one for each part from ``share.first`` on. That
        they can be is for ``devices.distribution.check_division`` to see.
    """
    sampling = sampler.sampling
    identities, per_identity = sampling.identities_per_batch, sampling.images_per_identity
    modalities = sampler.modalities
    streams = np.random.SeedSequence([sampler.seed, sampler.stream]).generate_state(2, np.uint32)
    streams = streams.astype(np.int64)  # of the augmentation of each modality
    of_share = identities // share.of
    read = tf.function(source.reader(), autograph=False)  # traced once

    def draw_share(element: np.ndarray) -> tuple[np.ndarray, ...]:
        step, part = divmod(int(element), share.count)
        drawn = sampler.draw(step)
        places = np.arange(sampling.rows, dtype=np.int32).reshape(share.of, of_share, per_identity)
        places = places[share.first + part]
        rows = np.stack([drawn.rows[modality][places] for modality in modalities], axis=1)
        return np.full(of_share, step), places[:, 0], drawn.labels[places], rows

    @_as_written
    def draw(element: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Of each identity of an element: step, place of its first row in the whole batch, labels
        [K] and rows of the table [modalities, K]."""
        types = (tf.int64, tf.int32, tf.int32, tf.int64)
        shapes: list[list[int]] = [[], [], [per_identity], [len(modalities), per_identity]]
        drawn = tf.numpy_function(draw_share, [element], types, stateful=False)
        return tuple(
            tf.ensure_shape(part, [of_share, *shape])
            for part, shape in zip(drawn, shapes, strict=True)
        )

    @_as_written
    def augmented(step: tf.Tensor, place: tf.Tensor, labels: tf.Tensor, rows: tf.Tensor) -> Batch:
        """The images of one identity, few enough to stay in the processor's cache meanwhile."""
        images = {}
        for number, modality in enumerate(modalities):
            pixels = tf.stack([read(row) for row in tf.unstack(rows[number])])
            seed = tf.stack([tf.constant(streams[number]), step])
            images[modality] = augment(augmentation, pixels, seed, place, sampling.rows, modality)
        return Batch(images, labels)

    @_as_written
    def joined(identities: Batch) -> Batch:
        """[P, K, ...] -> [P * K, ...]."""
        return tf.nest.map_structure(lambda x: tf.reshape(x, [-1, *x.shape[2:]]), identities)

    elements = tf.data.Dataset.range(start * share.count, stop * share.count)
    drawn = elements.map(draw, **_IN_PARALLEL).flat_map(
        lambda *parts: tf.data.Dataset.from_tensor_slices(parts)
    )
    batches = drawn.map(augmented, **_IN_PARALLEL).batch(of_share, True).map(joined)
    return batches.prefetch(tf.data.AUTOTUNE).with_options(_OPTIONS)


def test_batches(source: ImageSource, batch: int) -> tf.data.Dataset:
    """All images of ``source`` in order, normalised, [<= batch, H, W, 3] float32."""
    read = _as_written(source.reader())
    pixels = tf.data.Dataset.range(len(source.images)).map(read, **_IN_PARALLEL).batch(batch)
    batches = pixels.map(_as_written(normalize), **_IN_PARALLEL)
    return batches.prefetch(tf.data.AUTOTUNE).with_options(_OPTIONS)


@contextlib.contextmanager
def naming_unreadable(source: ImageSource) -> Iterator[None]:
    """Turns a failure to read an image of ``source`` into a ``BadInput`` that names it.

    The pipeline itself does not carry names; the images are looked through only when it failed.
    """
    try:
        yield
    except _READING_FAILED as error:
        found = unreadable(source.images, source.root, source.grey16)
        if not found:
            raise
        path, why = next(iter(found.items()))
        others = f", and {len(found) - 1} more like it" if len(found) > 1 else ""
        raise BadInput(
            f"Cannot read {open_store(source.root).where(path)}: {why}{others}. Replace it, or "
            "give `skip_unreadable` to leave such images out and count them."
        ) from error
