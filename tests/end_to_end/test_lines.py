"""Both lines of TensorFlow begin with the same bits.

These are the people that are drawn, the images as they are read, the batches, and the weights of a
network. What is computed with them is not the same: convolutions add in another order, and the
second step's loss differs by 4e-7.
"""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf.architecture import Architecture
from cmnas_tf.data import load_dataset
from cmnas_tf.data.decode import decode
from cmnas_tf.data.pipeline import Share
from cmnas_tf.machine import processor
from cmnas_tf.modality import MODALITIES
from cmnas_tf.models.specification import Specification
from cmnas_tf.training.gradient_step import gradient_step
from cmnas_tf.training.inputs import TrainingImages
from cmnas_tf.training.recipe import Recipe
from cmnas_tf.training.trainer import Trainer
from tests.tiny_people import write_people

PEOPLE = Path(__file__).parents[1] / "earlier_version" / "people"


# On both lines. What is computed in float32 may differ on another kind of processor than this one.
PROCESSOR = "AMD EPYC"
DIGESTS = {
    "people": "8928bcf857c074a9",
    "pixels": "3306aa7f62ffe6fd",
    "labels": "2b916908ccfe78f6",
    "images": "9d323b4ac8722ca4",
    "weights": "f04ea108ea079d65",
}
ANYWHERE = {"pixels", "labels"}
LOSSES = (2.637811, 2.733600, 2.480981)  # of the first steps


def digest(parts):
    """The first 16 hexadecimal digits of the SHA-256 of bytes, or of arrays'."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part if isinstance(part, bytes) else np.ascontiguousarray(part).tobytes())
    return found.hexdigest()[:16]


def test_both_lines_begin_with_the_same_bits(tmp_path):
    drawn = write_people(
        tmp_path, train_identities=3, test_identities=2, images_per_camera=1, seed=3
    )
    people = load_dataset("sysu_mm01", PEOPLE)
    recipe = Recipe().with_values(
        image_height=32, image_width=16, identities_per_batch=2, images_per_identity=2, pad=2
    )
    images = TrainingImages(people, recipe, seed=0)
    batches = list(images.batches(images.sampler(people.train, 0), 0, 3, Share()))
    network = Specification(Architecture.separate("resnet18"), 4, 32, 16, width_factor=1 / 16)
    device = tf.distribute.OneDeviceStrategy("CPU:0")
    trainer = Trainer.begin(recipe, device, network, seed=0)
    weights = sorted(trainer.network.get_weight_paths().items())
    files = [path.read_bytes() for path in sorted(PEOPLE.rglob("*.jpg"))]
    found = {
        "people": digest(path.read_bytes() for path in sorted(drawn.rglob("*.jpg"))),
        "pixels": digest(decode(content, 48, 24) for content in files),
        "labels": digest(batch.labels for batch in batches),
        "images": digest(batch.images[m] for batch in batches for m in MODALITIES),
        "weights": digest(weight for _, weight in weights),
    }
    names = DIGESTS if processor() == PROCESSOR else ANYWHERE
    assert {name: found[name] for name in names} == {name: DIGESTS[name] for name in names}
    step = (trainer.network, recipe.objective, trainer.optimizer)
    losses = [float(gradient_step(*step, batch, 2)["total"]) for batch in batches]
    assert losses == pytest.approx(LOSSES, rel=1e-4)
