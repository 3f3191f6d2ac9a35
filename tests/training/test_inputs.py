"""From a data set on disk, of synthetic people, to training batches."""

import logging

import numpy as np
import pytest

from cmnas_tf.data import load_dataset
from cmnas_tf.data.augment import MEAN, STD
from cmnas_tf.data.augmentation import Augmentation, ImageSize
from cmnas_tf.data.pipeline import Share, naming_unreadable
from cmnas_tf.data.sampling import Sampling
from cmnas_tf.data.synthetic import write_dataset
from cmnas_tf.data.synthetic_plan import SyntheticPeople
from cmnas_tf.data.verify import readable
from cmnas_tf.errors import BadInput
from cmnas_tf.training.inputs import TrainingImages
from cmnas_tf.training.recipe import WeightTraining

PEOPLE = SyntheticPeople(
    train_identities=4, test_identities=2, images_per_camera=1, image_height=32, image_width=16
)


@pytest.fixture
def tree(tmp_path):
    write_dataset(PEOPLE, tmp_path / "sysu", processes=1)
    return tmp_path / "sysu"


TRAINING = WeightTraining(
    size=ImageSize(image_height=24, image_width=12),
    sampling=Sampling(identities_per_batch=4, images_per_identity=2),
    augmentation=Augmentation(pad=1),
)


def images_of(tree, seed=0, **changes):
    """The training images, with the options of their training that are to be otherwise."""
    dataset = load_dataset("sysu_mm01", tree)
    return TrainingImages(dataset, TRAINING.with_values(**changes), seed)


def batch_of(training, stream=0, step=0):
    sampler = training.sampler(training.dataset.train, stream)
    return next(iter(training.batches(sampler, step, step + 1, Share())))


def test_batches_follow_the_options(tree, caplog):
    training = images_of(tree)
    assert training.pids.tolist() == [1, 2, 3, 4]
    assert len(training.dataset.train) == 4 * 6
    assert not caplog.messages
    batch = batch_of(training)
    assert batch.labels.shape == [8]
    assert set(batch.labels.numpy().tolist()) == {0, 1, 2, 3}
    assert [part.shape.as_list() for part in batch.images.values()] == [[8, 24, 12, 3]] * 2


def test_the_images_of_one_modality(tree):
    """Four people with an image from each of four visible and two infrared cameras."""
    both = load_dataset("sysu_mm01", tree)
    assert both.of_modality("all") is both
    infrared = both.of_modality("infrared")
    assert len(infrared.train) == 4 * 2 and infrared.modality == "infrared"
    assert list(batch_of(TrainingImages(infrared, TRAINING, 0)).images) == ["infrared"]
    assert infrared.fingerprint != both.fingerprint
    with pytest.raises(BadInput, match="modality=visible: the images are all infrared"):
        infrared.of_modality("visible")


@pytest.mark.parametrize("name", ["channel_exchange_probability", "greyscale_probability"])
def test_colours_are_mixed_in_visible_images_alone(tree, name):
    """As the options say: the visible images of a batch are grey, the infrared ones untouched."""
    mixed = batch_of(images_of(tree, erase_probability=0.0, **{name: 1.0})).images
    plain = batch_of(images_of(tree, erase_probability=0.0)).images
    np.testing.assert_array_equal(mixed["infrared"], plain["infrared"])

    def channels(images):
        return np.moveaxis(images["visible"] * np.array(STD) + np.array(MEAN), -1, 0)

    red, green, blue = channels(mixed)
    np.testing.assert_allclose([green, blue], [red, red], atol=1e-5)
    red, green, blue = channels(plain)
    assert abs(green - red).max() > 0.1


@pytest.mark.slow
def test_the_run_has_one_seed_and_samplers_are_told_apart_by_streams(tree):
    """The same seed, stream and step: the same batch. Another of any: another batch."""

    def pixels(seed=0, stream=0, step=0):
        batch = batch_of(images_of(tree, seed), stream, step)
        return batch.images["visible"].numpy().tobytes()

    first, *others = pixels(), pixels(seed=1), pixels(stream=1), pixels(step=1)
    assert first == pixels()
    assert len({first, *others}) == 4


def test_samplers_of_one_run_augment_independently(tree):
    """The search draws two batches a step. Where both hold the same picture in the same row, they
    must not crop, flip and erase it alike; an image of camera 1 is all that each identity has."""
    training = images_of(tree)
    images = training.dataset.train
    samplers = [training.sampler(images[images.cameras == 1], stream) for stream in (1, 2)]
    alike = []
    batches = (training.batches(sampler, 0, 10, Share()) for sampler in samplers)
    for one, other in zip(*batches, strict=True):
        for row in np.flatnonzero(one.labels == other.labels):
            pixels = one.images["visible"][row], other.images["visible"][row]
            alike.append(bool((pixels[0] == pixels[1]).numpy().all()))
    assert len(alike) > 10
    assert np.mean(alike) < 0.5


def spoil(tree, path):
    data = (tree / path).read_bytes()
    (tree / path).write_bytes(data[: len(data) // 2])


def test_unreadable_images_are_left_out_and_counted_when_asked(tree, caplog):
    """Only those that are going to be used are looked at: cam1/0005 is for testing."""
    for path in ("cam1/0002/0001.jpg", "cam3/0004/0001.jpg", "cam1/0005/0001.jpg"):
        spoil(tree, path)
    listed = load_dataset("sysu_mm01", tree)
    found = readable(listed, "train")
    said = caplog.messages[-1]
    assert said.startswith("left out 2 unreadable images, the first of them cam1/0002/0001.j")
    assert found.left_out == ("cam1/0002/0001.jpg", "cam3/0004/0001.jpg")
    assert found.notes[-1] == said
    assert (len(found.train), len(found.test)) == (4 * 6 - 2, 2 * 6)
    batch_of(TrainingImages(found, TRAINING, 0))
    test = readable(listed, "test")
    assert test.left_out == ("cam1/0005/0001.jpg",)
    assert (len(test.train), len(test.test)) == (4 * 6, 2 * 6 - 1)


def test_an_unreadable_image_is_named_otherwise(tree):
    spoil(tree, "cam1/0002/0001.jpg")
    training = images_of(tree)
    with (
        pytest.raises(BadInput, match=r"cam1/0002/0001\.jpg: .*`skip_unreadable`"),
        naming_unreadable(training.source(training.dataset.train)),
    ):
        sampler = training.sampler(training.dataset.train, 0)
        for _ in training.batches(sampler, 0, 20, Share()):
            pass


def test_what_the_loader_noticed_is_said(tree, caplog):
    caplog.set_level(logging.INFO, "cmnas_tf")
    (tree / "cam2" / "0001" / "0001.jpg").unlink()
    images_of(tree)
    assert caplog.messages == ["cam2/0001: the folder holds no image"]


def test_an_identity_that_loses_a_modality_is_named(tree):
    for camera in (3, 6):
        spoil(tree, f"cam{camera}/0002/0001.jpg")
    found = readable(load_dataset("sysu_mm01", tree), "train")
    with pytest.raises(BadInput, match="Identity 2 has no infrared image"):
        TrainingImages(found, TRAINING, 0).sampler(found.train, 0)


def test_p_larger_than_the_number_of_identities_is_refused(tree):
    training = images_of(tree, identities_per_batch=5)
    with pytest.raises(BadInput, match=r"identities_per_batch=5.*only 4 identities"):
        training.sampler(training.dataset.train, 0)
