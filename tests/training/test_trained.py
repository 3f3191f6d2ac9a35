"""From a checkpoint to the network it holds; never to one with random weights."""

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf.architecture import Architecture
from cmnas_tf.errors import BadInput
from cmnas_tf.models.specification import Specification
from cmnas_tf.runs.checkpoints import Checkpoints
from cmnas_tf.training.train import SPECIFICATION
from cmnas_tf.training.trained import load_trained

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
    kept = Checkpoints(folder / "checkpoints")
    metadata = {SPECIFICATION: SPECIFICATION_OF_RUN.to_json()}
    kept.save(7, {part: network.get_weight_paths() for part in parts}, metadata)
    kept.save(9, parts, metadata)
    return folder, parts


@pytest.mark.parametrize(("weights", "part"), [("average", "average"), ("live", "network")])
def test_the_newest_checkpoint_of_a_run(run, weights, part):
    folder, parts = run
    trained = load_trained("", str(folder), weights)
    assert (trained.checkpoint.step, trained.weights) == (9, weights)
    assert trained.specification == SPECIFICATION_OF_RUN
    found = trained.network.get_weight_paths()
    assert set(found) == set(parts[part])
    for name, value in parts[part].items():
        np.testing.assert_array_equal(found[name], value)


def test_a_checkpoint_by_its_path(run):
    folder, _ = run
    path = folder / "checkpoints" / "step-00000007.safetensors"
    assert load_trained(str(path), "").checkpoint.path == path


def test_the_network_is_that_of_the_specification(run):
    """32 x 16 pixels, stride 2 at last: 1 x 1 positions of 32 channels, three identities."""
    folder, _ = run
    found = load_trained("", str(folder)).network.embed(tf.zeros([2, 32, 16, 3]), "visible")
    assert [part.shape.as_list() for part in found] == [[2, 32], [2, 32], [2, 3]]


def test_what_is_not_there_is_named(run, tmp_path):
    with pytest.raises(BadInput, match=r"No checkpoint .*step-1\.safetensors"):
        load_trained(str(tmp_path / "step-1.safetensors"), "")
    with pytest.raises(BadInput, match=r"--checkpoint=FILE, or --run_dir"):
        load_trained("", "")
    with pytest.raises(BadInput, match=r"elsewhere holds no checkpoint"):
        load_trained("", str(tmp_path / "elsewhere"))


def test_a_searchs_checkpoint_is_refused(tmp_path):
    path = Checkpoints(tmp_path).save(1, {"network": {"x": tf.Variable([1.0])}}, {"settings": {}})
    with pytest.raises(BadInput, match=r"is a checkpoint of a search; train the architecture"):
        load_trained(str(path), "")


def test_a_checkpoint_without_the_asked_weights_is_refused(tmp_path):
    """No moving average in it, or not all of the network's weights."""
    paths = SPECIFICATION_OF_RUN.build().get_weight_paths()
    metadata = {SPECIFICATION: SPECIFICATION_OF_RUN.to_json()}
    path = Checkpoints(tmp_path).save(1, {"network": paths}, metadata)
    load_trained(str(path), "", "live")
    with pytest.raises(BadInput, match=r"average/\S+ is missing"):
        load_trained(str(path), "", "average")
    paths.pop("head.classifier.kernel")
    path = Checkpoints(tmp_path).save(2, {"network": paths}, metadata)
    with pytest.raises(BadInput, match=r"network/head\.classifier\.kernel is missing"):
        load_trained(str(path), "", "live")
