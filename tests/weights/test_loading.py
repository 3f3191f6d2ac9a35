"""Weights to start from, and the state that goes out: by name, whole, or refused."""

import math

import numpy as np
import pytest

from cmnas_tf.architecture import Architecture, sites_of
from cmnas_tf.errors import BadInput
from cmnas_tf.layers import Softmax
from cmnas_tf.models import two_stream
from cmnas_tf.search_spaces import NormSpace
from cmnas_tf.weights import load_initial_state, load_torch_state
from cmnas_tf.weights.torch_names import (
    from_torchvision,
    full_state,
    to_torch,
    torch_arrays,
    torch_variables,
)
from tests.weights.states import (
    BRANCHES,
    RESNETS,
    STATISTICS,
    authors_shapes,
    random_state,
    torchvision_shapes,
    with_counters,
)

FILTERS = 4
WIDTH = FILTERS / 64
MIXED = Architecture.separate_until("layer2", "resnet18")
THEIR_NAME = dict(zip(("visible", "infrared", "shared"), BRANCHES, strict=True))


def network_of(architecture, classes=3):
    return two_stream(architecture, classes, architecture.backbone, width=WIDTH)


def supernet(classes=3):
    return NormSpace("resnet18", width=WIDTH).supernet(Softmax(), classes)


def imagenet(backbone, seed=0):
    return random_state(torchvision_shapes(backbone, FILTERS), seed)


def authors(backbone, classes=3, seed=0):
    return random_state(authors_shapes(backbone, classes, FILTERS), seed)


def of_checkpoint(network):
    """The state of a network without what it does not use, as its checkpoint holds it."""
    values = {path: variable.numpy() for path, variable in network.get_weight_paths().items()}
    return {name: array.copy() for name, array in torch_arrays(values).items()}


def assert_kernel(conv, array):
    np.testing.assert_array_equal(conv.kernel.numpy().transpose(3, 2, 0, 1), array)


def assert_norm(norm, state, name):
    variables = (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
    for variable, statistic in zip(variables, STATISTICS, strict=True):
        np.testing.assert_array_equal(variable, state[f"{name}.{statistic}"], err_msg=name)


def convolutions(network):
    """``{torchvision's name: convolution}``."""
    found = {"conv1": network.backbone.conv1}
    for stage, blocks in network.backbone.stages.items():
        for number, block in enumerate(blocks):
            path = f"{stage}.{number}"
            for n in range(1, block.depth + 1):
                found[f"{path}.conv{n}"] = getattr(block, f"conv{n}")
            if block.downsample is not None:
                found[f"{path}.downsample.0"] = block.downsample.conv
    return found


def assert_unchanged(network, before):
    for now, then in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize(
    "backbone, parameters",
    [  # torchvision's documentation, num_params of each ResNet
        ("resnet18", 11_689_512),
        ("resnet34", 21_797_672),
        ("resnet50", 25_557_032),
        ("resnet101", 44_549_160),
        ("resnet152", 60_192_808),
    ],
)
def test_the_names_and_shapes_below_are_torchvisions(backbone, parameters):
    shapes = torchvision_shapes(backbone).items()
    assert sum(math.prod(shape) for name, shape in shapes if "running" not in name) == parameters


@pytest.mark.parametrize("backbone", RESNETS)
def test_every_backbone_has_torchvisions_names_and_shapes(backbone):
    """At full width: with all norms shared the backbone is torchvision's, key by key."""
    network = two_stream(Architecture.shared(backbone), 1, backbone)
    ours = {name: to_torch(v.numpy()).shape for name, v in torch_variables(network).items()}
    theirs = from_torchvision(torchvision_shapes(backbone))
    assert {name: shape for name, shape in ours.items() if name.startswith("backbone.")} == {
        name: shape for name, shape in theirs.items() if not name.startswith("fc.")
    }


@pytest.mark.parametrize("backbone", RESNETS)
def test_every_imagenet_key_is_used(backbone):
    """Each norm of a site, statistics too, starts from the ImageNet one; the head is left alone."""
    network = network_of(Architecture.separate_until("layer2", backbone))
    neck, classifier = network.head.neck.gamma.numpy(), network.head.classifier.kernel.numpy()
    state = imagenet(backbone)
    report = load_initial_state(network, from_torchvision(with_counters(state)))
    for name, conv in convolutions(network).items():
        assert_kernel(conv, state.pop(f"{name}.weight"))
    for site, norm in network.backbone.norms().items():
        name = "bn1" if site == "stem" else site.replace("downsample", "downsample.1")
        for branch in norm.branches().values():
            assert_norm(branch, state, name)
        state = {key: value for key, value in state.items() if not key.startswith(f"{name}.")}
    assert set(state) == set(report.left_out) == {"fc.weight", "fc.bias"}
    assert len(report.counters) == len(sites_of(backbone)) and not report.unused_branches
    assert set(report.fresh) == {"classifier.weight"} | {f"bnneck.{word}" for word in STATISTICS}
    assert len(report.loaded) == len(network.weights) - len(report.fresh)
    np.testing.assert_array_equal(network.head.neck.gamma, neck)
    np.testing.assert_array_equal(network.head.classifier.kernel, classifier)


def test_all_three_norms_of_a_searched_site_start_from_imagenet():
    network, state = supernet(), imagenet("resnet18")
    load_initial_state(network, from_torchvision(state))
    for site, norm in network.backbone.norms().items():
        assert len(norm.branches()) == 3
        for branch in norm.branches().values():
            name = "bn1" if site == "stem" else site.replace("downsample", "downsample.1")
            assert_norm(branch, state, name)
        np.testing.assert_array_equal(norm.architecture_logits, [0.0, 0.0])


@pytest.mark.parametrize("classes, comes_along", [(3, True), (4, False)])
def test_a_head_of_as_many_identities_comes_along(classes, comes_along):
    network, state = network_of(MIXED, classes), authors("resnet18", classes=3)
    before = [variable.numpy() for variable in network.head.weights]
    report = load_initial_state(network, state)
    head = {name for name in state if not name.startswith("backbone.")}
    assert set(report.left_out) == set(report.fresh) == (set() if comes_along else head)
    assert head <= set(report.loaded) or not comes_along
    if comes_along:
        assert_norm(network.head.neck, state, "bnneck")
        np.testing.assert_array_equal(
            network.head.classifier.kernel, state["classifier.weight"].transpose()
        )
    else:
        for variable, then in zip(network.head.weights, before, strict=True):
            np.testing.assert_array_equal(variable, then)


def test_each_norm_prefers_its_own_values_to_the_shared_ones():
    """A state with all three, as of a search: what the architecture does not use is reported."""
    network, state = network_of(MIXED), authors("resnet18")
    report = load_initial_state(network, state)
    unused = {name.rsplit(".", 1)[0] for name in report.unused_branches}
    assert len(report.unused_branches) == 4 * len(unused)
    for site, norm in network.backbone.norms().items():
        path = "bn1" if site == "stem" else site.replace("downsample", "downsample.bn")
        for word, branch in norm.branches().items():
            assert_norm(branch, state, f"backbone.{path}.{THEIR_NAME[word]}")
        of_site = {f"backbone.{path}.{name}" for name in BRANCHES}
        used = {f"backbone.{path}.{THEIR_NAME[word]}" for word in norm.branches()}
        assert unused & of_site == of_site - used


@pytest.mark.parametrize("made", [supernet, lambda: network_of(Architecture.shared("resnet18"))])
def test_equal_separate_norms_make_a_shared_one(made):
    """As they are in ImageNet weights that were imported for a network with separate norms."""
    source = network_of(Architecture.separate("resnet18"))
    state = imagenet("resnet18")
    load_initial_state(source, from_torchvision(state))
    network = made()
    load_initial_state(network, of_checkpoint(source))
    for site, norm in network.backbone.norms().items():
        name = "bn1" if site == "stem" else site.replace("downsample", "downsample.1")
        for branch in norm.branches().values():
            assert_norm(branch, state, name)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_separate_norms_that_differ_anywhere_do_not_make_a_shared_one(statistic):
    """After one step of training, say; the others of the site are equal."""
    source = network_of(Architecture.separate("resnet18"))
    load_initial_state(source, from_torchvision(imagenet("resnet18")))
    state = of_checkpoint(source)
    state[f"backbone.layer2.0.downsample.bn.thermal_bn.{statistic}"][3] += 1e-3
    network = supernet()
    before = network.get_weights()
    name = rf"backbone\.layer2\.0\.downsample\.bn\.sharable_bn\.{statistic}"
    with pytest.raises(BadInput, match=rf": 1 missing: {name}\. Check"):
        load_initial_state(network, state)
    assert_unchanged(network, before)


def test_separate_norms_do_not_make_a_shared_one():
    network = network_of(Architecture.shared("resnet18"))
    before = network.get_weights()
    state = {n: a for n, a in authors("resnet18").items() if not n.startswith("backbone.bn1.shar")}
    with pytest.raises(BadInput, match=r"4 missing: backbone\.bn1\.sharable_bn\.weight"):
        load_initial_state(network, state)
    assert_unchanged(network, before)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"layer1.0.bn1.scale": np.zeros(4)}, r"1 unknown: backbone\.layer1\.0\.bn1\..*scale\."),
        ({"head.weight": np.zeros(4)}, r"1 unknown: backbone\.head\.weight\."),
        (
            {"layer4.0.downsample.0.weight": np.zeros((32, 16, 3, 3))},
            r"1 of the wrong shape: backbone\.layer4\.0\.downsample\.conv\.weight: "
            r"expected \(1, 1, 16, 32\), found \(3, 3, 16, 32\)",
        ),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_loaded(change, message):
    network = network_of(MIXED)
    before = network.get_weights()
    with pytest.raises(BadInput, match=message):
        load_initial_state(network, from_torchvision(imagenet("resnet18") | change))
    assert_unchanged(network, before)


@pytest.mark.parametrize("other", ["resnet34", "resnet50"])
def test_another_backbone_is_named(other):
    network = network_of(MIXED)
    advice = rf"weights of {other} and the network is a resnet18 .* Give backbone={other},"
    with pytest.raises(BadInput, match=advice):
        load_initial_state(network, from_torchvision(imagenet(other)))
    with pytest.raises(BadInput, match=advice):
        load_torch_state(network, authors(other))


def test_the_state_that_goes_out_has_every_key_of_the_authors_network():
    """And comes back, bit for bit; norms that are not used are PyTorch's fresh ones."""
    network, state = network_of(MIXED), with_counters(authors("resnet18"))
    unused = set(load_torch_state(network, state).unused_branches)
    out = full_state(network)
    assert {name: array.shape for name, array in out.items()} == {
        name: array.shape for name, array in state.items()
    }
    fresh = {"weight": 1, "bias": 0, "running_mean": 0, "running_var": 1}
    for name, array in out.items():
        statistic = name.rsplit(".", 1)[1]
        assert array.dtype == (np.int64 if statistic == "num_batches_tracked" else np.float32)
        if name in unused:
            np.testing.assert_array_equal(array, fresh[statistic])
        elif statistic != "num_batches_tracked":
            np.testing.assert_array_equal(array, state[name])
    again = network_of(MIXED)
    load_torch_state(again, out)
    assert_unchanged(again, network.get_weights())


def test_the_report_names_what_was_not_loaded():
    network = network_of(Architecture.shared("resnet18"), classes=4)
    shown = str(load_initial_state(network, with_counters(authors("resnet18"))))
    joined = " ".join(shown.split())
    assert joined.startswith("100 arrays loaded")
    assert "does not use: backbone.bn1.visible_bn, backbone.bn1.thermal_bn, backbone.l" in joined
    assert "backbone.layer4.1.bn2.thermal_bn left out: bnneck.weight" in joined
    assert "fresh, because the file has none that fits: " in joined
    assert "60 batch counters" in joined  # of 20 sites; the neck's is left out with it
    assert max(map(len, shown.splitlines())) <= 100
