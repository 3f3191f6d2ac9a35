"""Embedding on several devices: the same numbers as on one."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from cmnas_tf.devices.cluster import Cluster
from cmnas_tf.evaluation import evaluate
from cmnas_tf.evaluation.evaluate import embed_on_devices
from cmnas_tf.retrieval.embed import embed
from tests.pictures import write_pictures
from tests.training import tiny

MODALITIES = ["infrared", "visible", "visible", "infrared", "visible", "visible", "visible"]


@given(
    st.lists(st.sampled_from(["visible", "infrared"]), min_size=1, max_size=40),
    st.integers(1, 7),
    st.integers(1, 9),
)
def test_batches_are_dealt_whole(modalities, batch, workers):
    """Cutting up each worker's rows again gives the batches of one process, each of them once; of
    too few, some are given out again so that no worker is without."""

    def cut(rows):
        for modality in ("visible", "infrared"):
            own = [row for row in rows if modalities[row] == modality]
            yield from (tuple(own[start : start + batch]) for start in range(0, len(own), batch))

    shares = evaluate._deal(np.array(modalities, object), batch, workers)
    expected = set(cut(range(len(modalities))))
    dealt = [part for rows in shares for part in cut(rows)]
    assert set(dealt) == expected
    assert len(dealt) == max(len(expected), workers)
    sizes = [len(list(cut(rows))) for rows in shares]
    assert min(sizes) >= 1 and max(sizes) - min(sizes) <= 1


@pytest.fixture
def source(tmp_path):
    """Seven images, the modalities in no order."""
    return write_pictures(tmp_path, MODALITIES, (8, 6), 8, 6)


@pytest.mark.parametrize("flip_average", [False, True])
def test_two_devices_give_what_one_gives(two_replicas, source, flip_average):
    """Bit for bit: three batches of visible images, one of infrared ones."""
    expected = embed(tiny.supernet(), source, 2, flip_average=flip_average)
    with two_replicas.scope():
        network = tiny.supernet()
    found = embed_on_devices(two_replicas, network, source, 2, flip_average=flip_average)
    assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("flip_average", [False, True])
def test_compiled_by_xla_each_image_has_the_same_embedding(source, flip_average):
    """Also those of a batch that is not full."""
    expected = embed(tiny.supernet(), source, 3, flip_average=flip_average)
    found = embed(tiny.supernet(), source, 3, flip_average=flip_average, by_xla=True)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(("images", "expected"), [(7, True), (8, False)])
def test_xla_compiles_for_so_many_images_that_it_pays(source, monkeypatch, images, expected):
    """There are seven."""
    monkeypatch.setattr(evaluate, "_WORTH_COMPILING", images)
    monkeypatch.setattr(evaluate.xla, "compiles", lambda choice, strategy: choice == "auto")
    asked = []

    def recording(network, part, *arguments):
        asked.append(arguments[-1])
        return embed(network, part, arguments[0])

    monkeypatch.setattr(evaluate, "embed", recording)
    embed_on_devices(tf.distribute.OneDeviceStrategy("CPU:0"), tiny.supernet(), source, 2)
    assert asked == [expected]


@pytest.mark.parametrize("batch", [1, 2, 64])
def test_workers_put_together_what_each_embedded(monkeypatch, two_replicas, source, batch):
    """Three workers; each ends up with every embedding in its place."""

    def stand_in(network, part, *_):
        return np.array([[float(path.removesuffix(".png"))] for path in part.images.paths])

    cluster = ("a:1", "b:1", "c:1")
    handed_in = [
        stand_in(None, replace(source, images=source.images[rows]))
        for rows in evaluate._deal(source.images.modalities, batch, len(cluster))
    ]
    monkeypatch.setattr(evaluate, "embed", stand_in)
    monkeypatch.setattr(evaluate, "gather_rows", lambda *_: np.concatenate(handed_in))
    for index in range(len(cluster)):
        monkeypatch.setattr(evaluate, "cluster_of", lambda _, own=index: Cluster(cluster, own))
        found = embed_on_devices(two_replicas, None, source, batch)
        assert found[:, 0].tolist() == list(range(7))
