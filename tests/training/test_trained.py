"""From a checkpoint to the network it holds, never to one of random weights; and to embeddings."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from cmnas_tf.architecture import Architecture
from cmnas_tf.data import Image, Images, load_dataset
from cmnas_tf.data.decode import decode_pixels
from cmnas_tf.data.pipeline import ImageSource
from cmnas_tf.errors import BadInput
from cmnas_tf.models.specification import Specification
from cmnas_tf.retrieval.embed import embed
from cmnas_tf.runs.run_folder import RunFolder
from cmnas_tf.training.trained import SPECIFICATION, load_network
from tests.runs.saving import save
from tests.tiny_people import write_people

SPECIFICATION_OF_RUN = Specification(
    Architecture.separate_until("layer1", "resnet18"), 3, 32, 16, last_stride=2, width_factor=0.0625
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run's folder, and the live and average weights of its newest checkpoint."""
    folder = tmp_path_factory.mktemp("run")
    network = SPECIFICATION_OF_RUN.build()
    random = np.random.default_rng(0)
    paths = network.get_weight_paths()
    parts = {
        part: {
            name: tf.Variable(random.uniform(0.5, 1.5, v.shape), dtype=v.dtype)
            for name, v in paths.items()
        }
        for part in ("network", "average")
    }
    checkpoints = folder / "checkpoints"
    metadata = {SPECIFICATION: SPECIFICATION_OF_RUN.to_json()}
    save(checkpoints, 7, {part: network.get_weight_paths() for part in parts}, metadata)
    save(checkpoints, 9, parts, metadata)
    return folder, parts


@pytest.mark.parametrize(("weights", "part"), [("average", "average"), ("live", "network")])
def test_the_newest_checkpoint_of_a_run(run, weights, part):
    folder, parts = run
    trained = load_network(folder, weights)
    assert (trained.checkpoint.step, trained.weights) == (9, weights)
    assert trained.specification == SPECIFICATION_OF_RUN
    found = trained.network.get_weight_paths()
    assert set(found) == set(parts[part])
    for name, value in parts[part].items():
        np.testing.assert_array_equal(found[name], value)
    assert str(trained) == "TrainedNetwork(resnet18, 32x16, step 9)"


def test_a_run_is_its_folder_by_its_path_or_by_its_object(run):
    folder, _ = run
    given = (str(folder), folder, RunFolder(folder))
    assert {load_network(one).checkpoint.digest for one in given} == {
        RunFolder(folder).newest().digest
    }
    assert load_network(given[2]).run is given[2]
    assert load_network(folder).run.path == folder


def test_a_checkpoint_by_its_path(run):
    folder, _ = run
    path = folder / "checkpoints" / "step-00000007.safetensors"
    found = load_network(str(path))
    assert (found.checkpoint.path, found.run.path) == (path, folder)


def test_a_checkpoint_elsewhere_belongs_to_the_folder_it_lies_in(run, tmp_path):
    folder, _ = run
    path = shutil.copy(folder / "checkpoints" / "step-00000007.safetensors", tmp_path)
    assert load_network(path).run.path == tmp_path


def test_the_network_is_that_of_the_specification(run):
    """32 x 16 pixels, stride 2 at last: 1 x 1 positions of 32 channels, three identities."""
    folder, _ = run
    found = load_network(folder).network.embed(tf.zeros([2, 32, 16, 3]), "visible")
    assert [part.shape.as_list() for part in found] == [[2, 32], [2, 32], [2, 3]]


def test_what_is_not_there_is_named(run, tmp_path):
    with pytest.raises(BadInput, match=r"No checkpoint .*step-1\.safetensors"):
        load_network(tmp_path / "step-1.safetensors")
    for empty in (tmp_path, RunFolder(tmp_path / "elsewhere")):
        with pytest.raises(BadInput, match=r" holds no checkpoint; train there .*`train_network`"):
            load_network(empty)


def test_a_searchs_checkpoint_is_refused(tmp_path):
    path = save(tmp_path, 1, {"network": {"x": tf.Variable([1.0])}}, {"settings": {}})
    with pytest.raises(BadInput, match=r"is a checkpoint of a search; train the architecture"):
        load_network(path)


def test_a_checkpoint_without_the_asked_weights_is_refused(tmp_path):
    """No moving average in it, or not all of the network's weights."""
    paths = SPECIFICATION_OF_RUN.build().get_weight_paths()
    metadata = {SPECIFICATION: SPECIFICATION_OF_RUN.to_json()}
    path = save(tmp_path, 1, {"network": paths}, metadata)
    load_network(path, "live")
    with pytest.raises(BadInput, match=r"average/\S+ is missing"):
        load_network(path, "average")
    paths.pop("head.classifier.kernel")
    path = save(tmp_path, 2, {"network": paths}, metadata)
    with pytest.raises(BadInput, match=r"network/head\.classifier\.kernel is missing"):
        load_network(path, "live")


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """4 + 4 people of 64 x 32 pixels, which are resized."""
    folder = tmp_path_factory.mktemp("people") / "sysu"
    few = {"train_identities": 2, "images_per_camera": 1, "image_height": 64, "image_width": 32}
    return load_dataset("sysu_mm01", write_people(folder, **few))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Whose norms differ, those of a site too, so that the modality makes a difference."""
    keras.utils.set_random_seed(0)
    random, paths = np.random.default_rng(0), SPECIFICATION_OF_RUN.build().get_weight_paths()
    for name, variable in paths.items():
        if not name.endswith("kernel"):
            variable.assign(random.uniform(0.5, 1.5, variable.shape))
    metadata = {SPECIFICATION: SPECIFICATION_OF_RUN.to_json()}
    folder = tmp_path_factory.mktemp("model")
    return load_network(save(folder, 1, {"average": paths}, metadata))


def of(people, modality):
    """Its test images of a modality."""
    return people.test.of_modality(modality)


def embedded(model, images, root):
    """What ``retrieval`` makes of a table of images, all at once."""
    return embed(model.network, ImageSource(images, Path(root), 32, 16), 1000)


def test_a_data_set_is_embedded_as_in_retrieval(model, people):
    """Its test images, of both modalities, in their order; whatever goes through at a time."""
    expected = embedded(model, people.test, people.root)
    found = model.embed_dataset(people)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.shape == (4 * 6, model.embedding_size) == (24, 32)
    np.testing.assert_allclose(model.embed_dataset(people, batch=5), expected, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("modality", ["visible", "infrared"])
def test_files_are_embedded_as_in_retrieval(model, people, modality, monkeypatch):
    """In the order that they are given in, by absolute paths or by those from here."""
    images = of(people, modality)
    expected = embedded(model, images, people.root)
    paths = [Path(people.root) / path for path in images.paths]
    np.testing.assert_allclose(model.embed_files(paths, modality), expected, atol=1e-6)
    backwards = model.embed_files([str(path) for path in paths[::-1]], modality, batch=3)
    np.testing.assert_allclose(backwards[::-1], expected, atol=1e-5)
    monkeypatch.chdir(people.root)
    np.testing.assert_allclose(model.embed_files(images.paths, modality), expected, atol=1e-6)
    assert backwards.dtype == np.float32 and backwards.shape == expected.shape
    assert abs(backwards[0] - backwards[1]).max() > 1e-3  # or the order says nothing


@pytest.mark.parametrize("modality", ["visible", "infrared"])
def test_images_in_memory_are_embedded_as_their_files(model, people, modality):
    images = of(people, modality)
    contents = [(Path(people.root) / path).read_bytes() for path in images.paths]
    pixels = np.stack([decode_pixels(tf.constant(content)).numpy() for content in contents])
    assert pixels.shape[1:] == (64, 32, 3)
    expected = embedded(model, images, people.root)
    for batch in (1000, 5):
        found = model.embed_images(pixels, modality, batch)
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert found.dtype == np.float32
    other = {"visible": "infrared", "infrared": "visible"}[modality]
    assert abs(model.embed_images(pixels, other) - expected).max() > 1e-3


def test_nothing_gives_no_rows(model, people):
    nothing = (
        model.embed_files([], "visible"),
        model.embed_images(np.empty((0, 8, 8, 3), np.uint8), "infrared"),
        model.embed_dataset(replace(people, test=people.test[:0])),
    )
    for found in nothing:
        assert (found.shape, found.dtype) == ((0, 32), np.float32)


def test_what_is_no_modality_is_refused_by_every_way_in(model, people):
    image = np.zeros((1, 8, 8, 3), np.uint8)
    for call in (
        lambda: model.embed_files(["a.jpg"], "thermal"),
        lambda: model.embed_files([], "thermal"),
        lambda: model.embed_images(image, "thermal"),
    ):
        with pytest.raises(BadInput, match=r"modality='thermal' is not .* visible or infrared"):
            call()


def test_a_modality_that_it_was_not_trained_on_is_refused(tmp_path, people):
    """Its norms never saw such an image; the test images of both are refused, too."""
    keras.utils.set_random_seed(0)
    alone = replace(SPECIFICATION_OF_RUN, modalities=("visible",))
    variables = alone.build().get_weight_paths()
    path = save(tmp_path, 1, {"average": variables}, {SPECIFICATION: alone.to_json()})
    model, image = load_network(path), np.zeros((1, 8, 8, 3), np.uint8)
    assert model.embed_images(image, "visible").shape == (1, 32)
    for call in (
        lambda: model.embed_files(["a.jpg"], "infrared"),
        lambda: model.embed_images(image, "infrared"),
        lambda: model.embed_dataset(people),
    ):
        with pytest.raises(BadInput, match="trained on visible images only, so modality=infrared"):
            call()
    visible = replace(people, test=of(people, "visible"))
    assert len(model.embed_dataset(visible)) == 4 * 4


def test_a_file_that_cannot_be_read_is_named(model, people, tmp_path):
    good = Path(people.root) / people.test.paths[0]
    half = tmp_path / "half.jpg"
    half.write_bytes(good.read_bytes()[:-40])
    for bad, why in ((half, "not a complete JPEG"), (tmp_path / "none.jpg", "does not exist")):
        with pytest.raises(BadInput, match=rf"Cannot read {bad}: .*{why}"):
            model.embed_files([good, bad], "visible")
    table = Images.of([Image("none.jpg", 1, 1, "visible")])
    with pytest.raises(BadInput, match=rf"Cannot read {tmp_path}/none\.jpg"):
        model.embed_dataset(replace(people, root=tmp_path, test=table))


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 8, 8, 3), np.float32),
        np.zeros((2, 8, 8, 3), np.int64),
        np.zeros((8, 8, 3), np.uint8),
        np.zeros((2, 8, 8, 1), np.uint8),
        np.zeros((2, 8, 8), np.uint8),
        [],
    ],
)
def test_what_is_no_batch_of_pixels_is_refused(model, images):
    shown = np.asarray(images)
    with pytest.raises(BadInput) as error:
        model.embed_images(images, "visible")
    assert "must be an array [N, h, w, 3] of uint8, RGB" in str(error.value)
    assert f"Received: shape {shown.shape}, {shown.dtype}" in str(error.value)
