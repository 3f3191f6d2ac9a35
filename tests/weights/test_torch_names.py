"""PyTorch's names and layouts: everything is used, or refused by name."""

import numpy as np
import pytest

from cmnas_tf.architecture import Architecture, sites_of
from cmnas_tf.models import two_stream
from cmnas_tf.weights import load_torch_state
from cmnas_tf.weights.torch_names import (
    backbone_of,
    from_torchvision,
    full_state,
    to_tensorflow,
    to_torch,
    torch_variables,
)

CHOICES = {**dict.fromkeys(sites_of("resnet18"), "shared"), "layer2.0.downsample": "separate"}
BRANCHES = ("visible_bn", "thermal_bn", "sharable_bn")
STATISTICS = ("weight", "bias", "running_mean", "running_var")


@pytest.fixture
def network():
    """ResNet-18 with 4 to 32 channels and three classes; one site separate."""
    return two_stream(Architecture(CHOICES, "resnet18"), 3, "resnet18", width=1 / 16)


@pytest.fixture
def state(network):
    """A value of its own for every weight of the network, in torch's layout."""
    rng = np.random.default_rng(1)
    return {
        name: rng.standard_normal(to_torch(variable.numpy()).shape).astype(np.float32)
        for name, variable in torch_variables(network).items()
    }


def test_names_are_the_authors(network):
    """The names of a block with a downsample, of the stem and of the head, and no others."""
    norm = [f"{{}}.sharable_bn.{statistic}" for statistic in STATISTICS]
    names = [
        "backbone.conv1.weight",
        *(name.format("backbone.bn1") for name in norm),
        "backbone.layer2.0.downsample.conv.weight",
        *(
            f"backbone.layer2.0.downsample.bn.{branch}.{statistic}"
            for branch in ("visible_bn", "thermal_bn")
            for statistic in STATISTICS
        ),
        *(f"backbone.layer2.0.conv{n}.weight" for n in (1, 2)),
        *(name.format(f"backbone.layer2.0.bn{n}") for n in (1, 2) for name in norm),
        *(f"bnneck.{statistic}" for statistic in STATISTICS),
        "classifier.weight",
    ]
    ours = {
        name
        for name in torch_variables(network)
        if not name.startswith("backbone.layer") or name.startswith("backbone.layer2.0.")
    }
    assert ours == set(names)


def test_layouts_by_hand():
    """torch keeps convolutions as [out, in, height, width] and linear layers as [out, in]."""
    kernel = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    assert to_tensorflow(kernel).shape == (4, 5, 3, 2)
    assert to_tensorflow(kernel)[3, 1, 2, 0] == kernel[0, 2, 3, 1]
    np.testing.assert_array_equal(to_tensorflow(np.array([[1, 2, 3], [4, 5, 6]]))[2], [3, 6])
    for array in (kernel, kernel[0, 0], kernel[0, 0, 0]):
        np.testing.assert_array_equal(to_torch(to_tensorflow(array)), array)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_every_value_arrives(network, state, prefix):
    report = load_torch_state(network, {prefix + name: array for name, array in state.items()})
    assert set(report.loaded) == set(state) and len(report.loaded) == len(network.weights)
    assert report.unused_branches == report.counters == ()
    for name, variable in torch_variables(network).items():
        np.testing.assert_array_equal(to_torch(variable.numpy()), state[name], err_msg=name)
    downsample = network.backbone.layer2[0].downsample
    np.testing.assert_array_equal(
        downsample.bn.infrared.moving_variance,
        state["backbone.layer2.0.downsample.bn.thermal_bn.running_var"],
    )


def test_the_authors_dead_norms_and_counters_are_reported(network, state):
    """Their checkpoints hold three norms and three counters at every site."""
    sites = sorted({name.rsplit(".", 2)[0] for name in state if "_bn." in name})
    assert len(sites) == 20
    full = dict(state)
    for site in sites:
        for branch in BRANCHES:
            for statistic in STATISTICS:
                full.setdefault(f"{site}.{branch}.{statistic}", np.zeros(1, np.float32))
            full[f"{site}.{branch}.num_batches_tracked"] = np.array(7)
    full["bnneck.num_batches_tracked"] = np.array(7)
    report = load_torch_state(network, full)
    assert set(report.loaded) == set(state)
    assert len(report.counters) == 3 * 20 + 1
    assert len(report.unused_branches) == 4 * (2 * 19 + 1)
    assert "backbone.layer2.0.downsample.bn.sharable_bn.weight" in report.unused_branches
    assert len(report.loaded + report.counters + report.unused_branches) == len(full)


def test_a_full_state_has_three_norms_everywhere_and_comes_back(network, state):
    """The norms that the architecture does not use are PyTorch's fresh ones."""
    load_torch_state(network, state)
    full = full_state(network)
    norms = {name.removesuffix(".running_var") for name in full if name.endswith(".running_var")}
    assert len(norms) == 3 * 20 + 1
    assert {name for name in full if name.endswith("num_batches_tracked")} == {
        f"{norm}.num_batches_tracked" for norm in norms
    }
    for name, array in state.items():
        np.testing.assert_array_equal(full[name], array)
    fresh = [full[f"backbone.layer2.0.bn1.visible_bn.{statistic}"] for statistic in STATISTICS]
    np.testing.assert_array_equal(fresh, np.array([[1.0], [0.0], [0.0], [1.0]]).repeat(8, axis=1))
    again = two_stream(Architecture(CHOICES, "resnet18"), 3, "resnet18", width=1 / 16)
    load_torch_state(again, full)
    for mine, theirs in zip(again.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_torchvisions_names():
    theirs = {
        "conv1.weight": "backbone.conv1.weight",
        "bn1.running_var": "backbone.bn1.sharable_bn.running_var",
        "layer1.0.conv2.weight": "backbone.layer1.0.conv2.weight",
        "layer3.11.bn3.bias": "backbone.layer3.11.bn3.sharable_bn.bias",
        "layer2.0.downsample.0.weight": "backbone.layer2.0.downsample.conv.weight",
        "layer2.0.downsample.1.weight": "backbone.layer2.0.downsample.bn.sharable_bn.weight",
        "layer2.0.downsample.1.num_batches_tracked": (
            "backbone.layer2.0.downsample.bn.sharable_bn.num_batches_tracked"
        ),
        "fc.weight": "fc.weight",
    }
    found = from_torchvision({name: np.array(n) for n, name in enumerate(theirs)})
    assert found == {ours: np.array(n) for n, ours in enumerate(theirs.values())}


@pytest.mark.parametrize(
    "backbone, blocks, convolutions",
    [
        ("resnet18", (2, 2, 2, 2), 2),
        ("resnet34", (3, 4, 6, 3), 2),
        ("resnet50", (3, 4, 6, 3), 3),
        ("resnet101", (3, 4, 23, 3), 3),
        ("resnet152", (3, 8, 36, 3), 3),
        (None, (2, 2, 2, 2), 3),
        (None, (), 2),
    ],
)
def test_a_backbone_is_known_by_its_blocks(backbone, blocks, convolutions):
    names = [
        f"backbone.layer{stage}.{block}.conv{n}.weight"
        for stage, count in enumerate(blocks, start=1)
        for block in range(count)
        for n in range(1, convolutions + 1)
    ]
    assert backbone_of(["backbone.conv1.weight", *names, "classifier.weight"]) == backbone


def test_cells_are_no_blocks():
    """There may be as many of them as ResNet-18 has blocks."""
    names = [f"backbone.layer{s}.{n}.input0.conv.weight" for s in (1, 2, 3, 4) for n in (0, 1)]
    assert backbone_of(names) is None


def left_as_it_was(network, before) -> bool:
    return all(
        np.array_equal(now, then) for now, then in zip(network.get_weights(), before, strict=True)
    )


@pytest.mark.parametrize(
    "name",
    [
        "backbone.conv1.weight",
        "backbone.layer2.0.downsample.bn.thermal_bn.running_mean",
        "bnneck.bias",
        "classifier.weight",
    ],
)
def test_a_missing_key_is_named(network, state, name):
    before = network.get_weights()
    del state[name]
    with pytest.raises(ValueError, match=rf"nothing was loaded.*1 missing: {name}\."):
        load_torch_state(network, state)
    assert left_as_it_was(network, before)


@pytest.mark.parametrize(
    "name",
    [
        "backbone.fc.weight",
        "backbone.layer5.0.conv1.weight",
        "backbone.layer1.0.downsample.conv.weight",  # ResNet-18 has none in stage 1
        "backbone.bn1.weight",
        "backbone.bn1.rgb_bn.weight",
        "backbone.bn1.visible_bn.scale",
        "backbone.layer5.0.bn1.num_batches_tracked",
        "optimizer",
    ],
)
def test_an_unknown_key_is_named(network, state, name):
    before = network.get_weights()
    state[name] = np.zeros(4, np.float32)
    with pytest.raises(ValueError, match=rf"nothing was loaded.*1 unknown: {name}\."):
        load_torch_state(network, state)
    assert left_as_it_was(network, before)


def test_wrong_shapes_are_named(network, state):
    """A classifier for five identities where there are three, and a kernel that is not square."""
    before = network.get_weights()
    state["classifier.weight"] = np.zeros((5, 32), np.float32)
    state["backbone.conv1.weight"] = np.zeros((4, 3, 7, 5), np.float32)
    with pytest.raises(ValueError, match="2 of the wrong shape") as raised:
        load_torch_state(network, state)
    assert "classifier.weight" in str(raised.value) and "(7, 5, 3, 4)" in str(raised.value)
    assert left_as_it_was(network, before)
