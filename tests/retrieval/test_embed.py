"""Embeddings in the order of the images, equal to a direct call of the network."""

import dataclasses

import numpy as np
import pytest
import tf_keras as keras

from cmnas_tf.architecture import Architecture
from cmnas_tf.data.augment import normalize
from cmnas_tf.data.decode import decode
from cmnas_tf.errors import BadInput
from cmnas_tf.models import two_stream
from cmnas_tf.retrieval.embed import embed, embed_graph
from tests.pictures import write_pictures

MODALITIES = ["infrared", "visible", "visible", "infrared", "visible", "infrared", "visible"]


@pytest.fixture(scope="module")
def network():
    """Separate norms everywhere, told apart by their offsets; running statistics of its own."""
    keras.utils.set_random_seed(0)
    network = two_stream(Architecture.separate("resnet18"), 3, "resnet18", width=0.0625)
    for offset, modality in ((0.5, "visible"), (-0.5, "infrared")):
        network.backbone.norms()["stem"].branches()[modality].beta.assign([offset] * 4)
    network.head.neck.moving_mean.assign(np.random.default_rng(0).normal(size=32))
    return network


@pytest.fixture
def source(tmp_path):
    """Seven images, the modalities in no order."""
    return write_pictures(tmp_path, MODALITIES, (40, 20), 32, 16)


def directly(network, source, row, flip_average=False):
    """The embedding of one image, by itself; its mirror image is made of the file's pixels."""
    pixels = decode((source.root / source.images.paths[row]).read_bytes(), 32, 16).numpy()
    pictures = [pixels, pixels[:, ::-1]] if flip_average else [pixels]
    found = np.mean(
        [
            network.embed(normalize(p)[None], source.images.modalities[row]).embedding[0]
            for p in pictures
        ],
        axis=0,
    )
    return found / np.linalg.norm(found)


@pytest.mark.parametrize("batch", [3, 64])
def test_equals_a_direct_call_image_by_image(network, source, batch):
    """Each through its own modality's norms, in the order of the table; nothing in the network
    moves. With batches of 3 there are whole ones and smaller ones."""
    before = network.get_weights()
    found = embed(network, source, batch)
    assert (found.shape, found.dtype) == ((7, 32), np.float32)
    expected = np.stack([directly(network, source, row) for row in range(7)])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-6)
    assert len(np.unique(found.round(4), axis=0)) == 7
    for old, new in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_one_graph_for_each_modality_whatever_its_batches(network, source):
    """Two batches of visible images and two of infrared ones, the last of which are shorter."""
    before = embed_graph.experimental_get_tracing_count()
    other = two_stream(Architecture.separate("resnet18"), 3, "resnet18", width=0.0625)
    embed(other, source, 2)
    embed(other, source, 4)
    assert embed_graph.experimental_get_tracing_count() == before + 2


def test_the_average_with_the_mirror_image(network, source):
    """Averaged first, then normalised; it is not the embedding of the image alone."""
    found = embed(network, source, 3, flip_average=True)
    expected = np.stack([directly(network, source, row, flip_average=True) for row in range(7)])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert (abs(found - embed(network, source, 3)).max(axis=1) > 1e-3).all()


def test_modalities_are_not_mixed_up(network, source):
    """The same pictures taken for the other modality are embedded otherwise."""
    other = {"visible": "infrared", "infrared": "visible"}
    modalities = np.array([other[modality] for modality in source.images.modalities], object)
    swapped = dataclasses.replace(source.images, modalities=modalities)
    one = embed(network, source, 64)
    two = embed(network, dataclasses.replace(source, images=swapped), 64)
    assert (abs(one - two).max(axis=1) > 1e-3).all()


def test_one_modality_alone(network, source):
    infrared = source.images.of_modality("infrared")
    found = embed(network, dataclasses.replace(source, images=infrared), 64)
    np.testing.assert_allclose(found, embed(network, source, 64)[[0, 3, 5]], atol=1e-5)


def test_an_unreadable_image_is_named(network, source):
    (source.root / "3.png").write_bytes(b"")
    with pytest.raises(BadInput, match=r"3\.png: not a complete"):
        embed(network, source, 64)
