"""From image files to augmented batches, against a loop over images with PIL and NumPy.

The files are JPEGs of 288x144, about the size of SYSU-MM01's people; a batch is 16 identities x 4
images of each modality, 256x128.
"""

import itertools
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import tensorflow as tf
from PIL import Image

from benchmarks.batch import HEIGHT, WIDTH
from cmnas_tf.data import load_dataset
from cmnas_tf.data.augment import MEAN, STD
from cmnas_tf.data.augmentation import Augmentation
from cmnas_tf.data.decode import decode_pixels
from cmnas_tf.data.index import Dataset
from cmnas_tf.data.pipeline import ImageSource, training_batches
from cmnas_tf.data.sampling import IdentitySampler, Sampling
from cmnas_tf.data.synthetic import write_dataset
from cmnas_tf.data.synthetic_plan import SyntheticPeople

PEOPLE, IDENTITIES, IMAGES_PER_IDENTITY = 24, 16, 4
STEPS = 16  # of one run: 2048 images
MORE_STEPS = 8  # before and after, so that as much is prepared ahead at the end as at the start
_FOLDER = TemporaryDirectory(prefix="cmnas_tf_benchmark_")  # removed when the process ends


def files() -> Callable[[], float]:
    """The package's pipeline in the middle of an epoch, each file read and decoded every time."""
    source = ImageSource(_data().train, Path(_data().root), HEIGHT, WIDTH)
    sampler, starts = _sampler(), itertools.count(step=STEPS)

    def run() -> float:
        # Made anew: nothing can be prepared while another variant has its turn.
        start = next(starts)
        stop = start + MORE_STEPS + STEPS + MORE_STEPS
        batches = iter(training_batches(source, sampler, Augmentation(), start, stop))
        for _ in range(MORE_STEPS):
            next(batches).labels.numpy()
        began = time.perf_counter()
        for _ in range(STEPS):
            next(batches).labels.numpy()
        return time.perf_counter() - began

    return run


def decoding_alone() -> Callable[[], float]:
    """As many files, read and decoded by as many threads, and nothing else."""
    paths = [str(Path(_data().root) / path) for path in _data().train.paths]
    images = 2 * IDENTITIES * IMAGES_PER_IDENTITY

    def decoded(path: tf.Tensor) -> tf.Tensor:
        return tf.shape(decode_pixels(tf.io.read_file(path)))

    def run() -> float:
        files = tf.data.Dataset.from_tensor_slices(paths).repeat()
        sizes = files.map(decoded, num_parallel_calls=tf.data.AUTOTUNE).batch(images).prefetch(2)
        batches = iter(sizes)
        for _ in range(MORE_STEPS):
            next(batches).numpy()
        began = time.perf_counter()
        for _ in range(STEPS):
            next(batches).numpy()
        return time.perf_counter() - began

    return run


def pil_loop() -> Callable[[], None]:
    """One image after the other: open, resize, pad and crop, flip, normalise, erase."""
    data, sampler, random = _data(), _sampler(), np.random.default_rng(0)
    paths = [str(Path(data.root) / path) for path in data.train.paths]
    starts = itertools.count(step=STEPS)

    def run() -> None:
        first = next(starts)
        for step in range(first, first + STEPS):
            for rows in sampler.draw(step).rows.values():
                np.stack([_augmented(paths[row], random) for row in rows])

    return run


@cache
def _data() -> Dataset:
    people = SyntheticPeople(
        train_identities=PEOPLE, test_identities=2, image_height=288, image_width=144
    )
    write_dataset(people, _FOLDER.name, processes=1)
    return load_dataset("sysu_mm01", _FOLDER.name)


def _sampler() -> IdentitySampler:
    images = _data().train
    sampling = Sampling(identities_per_batch=IDENTITIES, images_per_identity=IMAGES_PER_IDENTITY)
    return IdentitySampler(images, np.unique(images.pids), sampling, seed=0, stream=0)


def _augmented(path: str, random: np.random.Generator) -> np.ndarray:
    image = Image.open(path).convert("RGB").resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)
    padded = np.pad(np.asarray(image), ((10, 10), (10, 10), (0, 0)))
    top, left = random.integers(0, 21, 2)
    cropped = padded[top : top + HEIGHT, left : left + WIDTH]
    if random.random() < 0.5:
        cropped = cropped[:, ::-1]
    x = ((cropped / 255.0 - MEAN) / STD).astype(np.float32)
    if random.random() < 0.5:
        _erase(x, random)
    return x


def _erase(x: np.ndarray, random: np.random.Generator) -> None:
    for _ in range(10):
        area = random.uniform(0.02, 0.4) * HEIGHT * WIDTH
        aspect = random.uniform(0.3, 1 / 0.3)
        height, width = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
        if height < HEIGHT and width < WIDTH:
            top = random.integers(0, HEIGHT - height + 1)
            left = random.integers(0, WIDTH - width + 1)
            x[top : top + height, left : left + width] = 0
            return
