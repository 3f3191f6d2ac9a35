"""Visible images to embeddings: the exported all-separate ResNet-50, and Keras' own ``predict``."""

from collections.abc import Callable
from tempfile import TemporaryDirectory

import numpy as np
import tensorflow as tf
from official.core import export_base

from benchmarks import batch
from cmnas_tf.architecture import Architecture
from cmnas_tf.data.augment import normalize
from cmnas_tf.modality import MODALITIES, VISIBLE
from cmnas_tf.models import ReidNetwork
from cmnas_tf.models.specification import Specification
from cmnas_tf.serving.exported_model import ServedForm
from cmnas_tf.serving.serving_module import ServingModule

ONE, MANY = 1, 32  # images
CALLS = 10  # of one run with one image


def exported_one() -> Callable[[], None]:
    """From pixels, weights as variables."""
    return _exported(ONE, frozen=False)


def exported_frozen_one() -> Callable[[], None]:
    """The same, weights as constants."""
    return _exported(ONE, frozen=True)


def exported_many() -> Callable[[], None]:
    """A batch, weights as variables."""
    return _exported(MANY, frozen=False)


def keras_one() -> Callable[[], None]:
    """``predict`` of normalised images."""
    network, images = _network()[1], {VISIBLE: normalize(_pixels(ONE)).numpy()}

    def run() -> None:
        for _ in range(CALLS):
            network.predict(images, verbose=0)

    return run


def _exported(images: int, frozen: bool) -> Callable[[], None]:
    specification, network = _network()
    module = ServingModule(network, specification, form=ServedForm(frozen=frozen))
    name = f"embed_{VISIBLE}_pixels"
    with TemporaryDirectory(prefix="cmnas_tf_benchmark_") as folder:
        export_base.export(module, {name: name}, folder, timestamped=False)
        loaded = tf.saved_model.load(folder)
    pixels = tf.constant(_pixels(images))

    def run() -> None:
        for _ in range(CALLS if images == ONE else 1):
            loaded.signatures[name](pixels=pixels)["embedding"].numpy()

    return run


def _network() -> tuple[Specification, ReidNetwork]:
    specification = Specification(
        Architecture.separate("resnet50"), batch.CLASSES, batch.HEIGHT, batch.WIDTH, 1, 1.0
    )
    assert specification.modalities == MODALITIES
    return specification, specification.build()


def _pixels(images: int) -> np.ndarray:
    shape = (images, batch.HEIGHT, batch.WIDTH, 3)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)
