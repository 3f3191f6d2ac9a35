"""The network on both modalities and on one."""

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf.architecture import Architecture, sites_of
from cmnas_tf.models import two_stream

SITES = sites_of("resnet18")
VISIBLE, INFRARED = 2, 3


def images(modality: str) -> tf.Tensor:
    count, seed = (VISIBLE, 1) if modality == "visible" else (INFRARED, 2)
    return tf.random.stateless_normal([count, 32, 16, 3], seed=[seed, 0])


@pytest.fixture(scope="module")
def network():
    """ResNet-18 of width 1/16, separate in the stem and stage 2, every weight moved a little."""
    choices = {site: "shared" for site in SITES}
    choices |= {site: "separate" for site in SITES if site.startswith(("stem", "layer2"))}
    network = two_stream(Architecture(choices, "resnet18"), 4, "resnet18", width=1 / 16)
    rng = np.random.default_rng(3)
    for weight in network.weights:
        weight.assign(weight + 0.3 * rng.random(weight.shape))
    return network


def assert_same(actual, expected):
    for mine, theirs in zip(actual, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


def test_a_mixed_batch_is_inferred_like_each_modality_alone(network):
    """And a visible image is not embedded like the same image taken for infrared."""
    visible, infrared = images("visible"), images("infrared")
    both = network((visible, infrared))
    alone = [network.embed(visible, "visible"), network.embed(infrared, "infrared")]
    assert_same(both, [tf.concat(parts, axis=0) for parts in zip(*alone, strict=True)])
    wrong = network.embed(visible, "infrared")
    assert np.abs(wrong.embedding - alone[0].embedding).max() > 0.05


def test_every_way_of_naming_the_modalities_gives_visible_rows_first(network):
    visible, infrared = images("visible"), images("infrared")
    expected = network((visible, infrared))
    assert_same(network({"infrared": infrared, "visible": visible}), expected)
    assert_same(network({"visible": visible}), network.embed(visible, "visible"))


def test_row_counts_may_be_known_at_run_time_only(network):
    signature = [tf.TensorSpec([None, 32, 16, 3])] * 2
    graph = tf.function(lambda v, i: network((v, i)), input_signature=signature)
    visible, infrared = images("visible"), images("infrared")
    assert_same(graph(visible, infrared), network((visible, infrared)))
    assert_same(graph(infrared, visible), network((infrared, visible)))


def test_separate_everywhere_trains_the_modalities_apart_up_to_the_neck():
    """With no site shared, a visible row's pooled features do not depend on the infrared rows; with
    every site shared they do.
    """
    visible, infrared = images("visible"), images("infrared")
    for architecture, apart in (
        (Architecture.separate("resnet18"), True),
        (Architecture.shared("resnet18"), False),
    ):
        network = two_stream(architecture, 4, "resnet18", width=1 / 16)
        both = network((visible, infrared), training=True).pooled[:VISIBLE]
        alone = network.embed(visible, "visible", training=True).pooled
        assert np.allclose(both, alone, rtol=1e-3, atol=1e-4) == apart


def test_the_architecture_decides_which_norms_exist():
    """One site separate: that site alone has two norms. Four variables a norm, twenty convolutions,
    the neck's four and the classifier.
    """
    choices = {**dict.fromkeys(SITES, "shared"), "layer3.0.downsample": "separate"}
    network = two_stream(Architecture(choices, "resnet18"), 4, "resnet18", width=1 / 16)
    branches = {site: list(norm.branches()) for site, norm in network.backbone.norms().items()}
    assert branches.pop("layer3.0.downsample") == ["visible", "infrared"]
    assert all(names == ["shared"] for names in branches.values()) and len(branches) == 19
    assert len(network.weights) == 4 * 21 + 20 + 4 + 1
    assert len(network.trainable_weights) == 2 * 21 + 20 + 1 + 1


def test_last_stride_and_width_reach_the_backbone():
    architecture = Architecture.shared("resnet18")
    network = two_stream(architecture, 4, "resnet18", last_stride=2, width=1 / 32)
    assert network.backbone.stages["layer4"][0].conv1.strides == 2
    assert network.head.classifier.kernel.shape == (16, 4)


def test_what_it_refuses(network):
    visible = images("visible")
    with pytest.raises(ValueError, match=r"'visible', 'infrared'.*Received: 'thermal'"):
        network.embed(visible, "thermal")
    with pytest.raises(ValueError):
        network((visible, visible, visible))
    with pytest.raises(ValueError, match="thermal"):
        network({"visible": visible, "thermal": visible})
    with pytest.raises(ValueError, match=r"one of resnet18, .* backbone is resnet50"):
        two_stream(Architecture.shared("resnet18"), 4)
