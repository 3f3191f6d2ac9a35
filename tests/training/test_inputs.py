"""From settings to training images, through a tree of synthetic people on disk."""

import dataclasses

import numpy as np
import pytest

from cmnas_tf import settings as settings_module
from cmnas_tf.data.augment import MEAN, STD
from cmnas_tf.data.pipeline import Share
from cmnas_tf.data.synthetic import write_dataset
from cmnas_tf.errors import BadInput
from cmnas_tf.training.inputs import TrainingImages, load_readable

PEOPLE = settings_module.SyntheticPeople(
    train_identities=4, test_identities=2, images_per_camera=1, image_height=32, image_width=16
)


@pytest.fixture
def tree(tmp_path):
    write_dataset(PEOPLE, tmp_path / "sysu", processes=1)
    return tmp_path / "sysu"


def settings_of(tree, seed=0, **data):
    return settings_module.Train(
        run=settings_module.Run(seed=seed),
        data=settings_module.Data(data_dir=str(tree), **data),
        input=settings_module.Input(image_height=24, image_width=12),
        batch=settings_module.Batch(identities_per_batch=4, images_per_identity=2),
        pipeline=settings_module.Pipeline(pad=1),
    )


def batch_of(training, stream=0, step=0):
    sampler = training.sampler(training.dataset.train, stream)
    return next(iter(training.batches(sampler, step, step + 1, Share())))


def test_batches_follow_the_settings(tree, capsys):
    training = TrainingImages.load(settings_of(tree))
    assert training.pids.tolist() == [1, 2, 3, 4]
    assert len(training.dataset.train) == 4 * 6
    assert capsys.readouterr().err == ""
    batch = batch_of(training)
    assert batch.labels.shape == [8]
    assert set(batch.labels.numpy().tolist()) == {0, 1, 2, 3}
    assert [part.shape.as_list() for part in batch.images.values()] == [[8, 24, 12, 3]] * 2


def test_the_images_of_one_modality(tree):
    """Four people with an image from each of four visible and two infrared cameras."""
    training = TrainingImages.load(settings_of(tree))
    assert training.of_modality("all") is training
    infrared = training.of_modality("infrared")
    assert len(infrared.dataset.train) == 4 * 2
    assert list(batch_of(infrared).images) == ["infrared"]
    assert infrared.dataset.fingerprint != training.dataset.fingerprint
    with pytest.raises(BadInput, match="--modality=visible: the images are all infrared"):
        infrared.of_modality("visible")


@pytest.mark.parametrize("name", ["channel_exchange_probability", "greyscale_probability"])
def test_colours_are_mixed_in_visible_images_alone(tree, name):
    """As the settings say: the visible images of a batch are grey, the infrared ones untouched."""
    settings = settings_of(tree)
    mixing = dataclasses.replace(settings.pipeline, **{name: 1.0}, erase_probability=0.0)
    mixed = batch_of(TrainingImages.load(dataclasses.replace(settings, pipeline=mixing))).images
    without = dataclasses.replace(mixing, **{name: 0.0})
    plain = batch_of(TrainingImages.load(dataclasses.replace(settings, pipeline=without))).images
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
        batch = batch_of(TrainingImages.load(settings_of(tree, seed)), stream, step)
        return batch.images["visible"].numpy().tobytes()

    first, *others = pixels(), pixels(seed=1), pixels(stream=1), pixels(step=1)
    assert first == pixels()
    assert len({first, *others}) == 4


def test_samplers_of_one_run_augment_independently(tree):
    """The search draws two batches a step. Where both hold the same picture in the same row, they
    must not crop, flip and erase it alike; an image of camera 1 is all that each identity has."""
    training = TrainingImages.load(settings_of(tree))
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


def test_unreadable_images_are_left_out_and_counted_when_asked(tree, capsys):
    """Only those that are going to be used are looked at: cam1/0005 is for testing."""
    for path in ("cam1/0002/0001.jpg", "cam3/0004/0001.jpg", "cam1/0005/0001.jpg"):
        spoil(tree, path)
    training = TrainingImages.load(settings_of(tree, skip_unreadable=True))
    said = capsys.readouterr().err
    assert said.startswith("note: left out 2 unreadable images, the first of them cam1/0002/0001.j")
    assert len(training.dataset.train) == 4 * 6 - 2
    assert len(training.dataset.test) == 2 * 6
    batch_of(training)
    test, left_out = load_readable(settings_of(tree, skip_unreadable=True).data, "test")
    assert left_out == ("cam1/0005/0001.jpg",)
    assert (len(test.train), len(test.test)) == (4 * 6, 2 * 6 - 1)


def test_an_unreadable_image_is_named_otherwise(tree):
    spoil(tree, "cam1/0002/0001.jpg")
    training = TrainingImages.load(settings_of(tree))
    with (
        pytest.raises(BadInput, match=r"cam1/0002/0001\.jpg: .*--skip_unreadable"),
        training.naming_unreadable(),
    ):
        for step in range(20):
            batch_of(training, step=step)


def test_what_the_loader_noticed_is_said(tree, capsys):
    (tree / "cam2" / "0001" / "0001.jpg").unlink()
    TrainingImages.load(settings_of(tree))
    assert capsys.readouterr().err == "note: cam2/0001 holds no .jpg file.\n"


def test_an_identity_that_loses_a_modality_is_named(tree):
    for camera in (3, 6):
        spoil(tree, f"cam{camera}/0002/0001.jpg")
    training = TrainingImages.load(settings_of(tree, skip_unreadable=True))
    with pytest.raises(BadInput, match="Identity 2 has no infrared image"):
        training.sampler(training.dataset.train, 0)


def test_p_larger_than_the_number_of_identities_is_refused(tree):
    settings = settings_of(tree)
    batch = dataclasses.replace(settings.batch, identities_per_batch=5)
    training = TrainingImages.load(dataclasses.replace(settings, batch=batch))
    with pytest.raises(BadInput, match=r"--identities_per_batch=5.*only 4 identities"):
        training.sampler(training.dataset.train, 0)
