"""AGW's network: its published shapes, every architecture in it, and its way through JSON."""

import json
import math
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf.architecture import Architecture
from cmnas_tf.cell_plan import CellPlan
from cmnas_tf.errors import BadInput
from cmnas_tf.layers import Softmax
from cmnas_tf.modality import Rows
from cmnas_tf.models import two_stream
from cmnas_tf.models.specification import Specification
from cmnas_tf.network_parts import NetworkParts
from cmnas_tf.search_spaces import NormSpace
from tests.models.genotypes import EVERYTHING
from tests.weights.states import torchvision_shapes

AGW = NetworkParts(separate_stem=True, non_local=(0, 2, 3, 0), pooling="gem")
SMALL = {"non_local": (0, 1, 1, 0)}


def published_shapes(classes):
    """By the names of the authors' program, of what it computes with: its three ResNets have more.

    Non-local blocks follow the last two blocks of layer2 and the last three of layer3.
    """
    shapes = {}
    for name, shape in torchvision_shapes("resnet50").items():
        if name.startswith("layer"):
            shapes[f"base_resnet.base.{name}"] = shape
        elif not name.startswith("fc."):
            shapes[f"visible_module.visible.{name}"] = shape
            shapes[f"thermal_module.thermal.{name}"] = shape
    norm = ("weight", "bias", "running_mean", "running_var")
    for stage, count, channels in ((2, 2, 512), (3, 3, 1024)):
        for block in range(count):
            path, inner = f"NL_{stage}.{block}", channels // 2
            for name in ("g.0", "theta", "phi"):
                shapes[f"{path}.{name}.weight"] = (inner, channels, 1, 1)
                shapes[f"{path}.{name}.bias"] = (inner,)
            shapes[f"{path}.W.0.weight"] = (channels, inner, 1, 1)
            shapes[f"{path}.W.0.bias"] = (channels,)
            shapes |= {f"{path}.W.1.{statistic}": (channels,) for statistic in norm}
    shapes |= {f"bottleneck.{statistic}": (2048,) for statistic in norm}
    return {**shapes, "classifier.weight": (classes, 2048)}


@pytest.fixture(scope="module")
def network():
    return two_stream(Architecture.separate_until("stem"), 395, parts=AGW)


def test_shapes_and_number_of_parameters_are_the_published_ones(network):
    """395 identities; the statistics are no parameters, nor is the neck's offset, which stays 0."""
    published = published_shapes(395)
    in_torch = {4: (3, 2, 0, 1), 2: (1, 0)}
    ours = Counter(
        tuple(np.transpose(v, in_torch.get(v.shape.rank)).shape) for v in network.weights
    )
    assert ours == Counter(published.values())
    still = ("running_mean", "running_var", "bottleneck.bias")
    trained = [shape for name, shape in published.items() if not name.endswith(still)]
    count = sum(map(math.prod, trained))
    assert sum(math.prod(v.shape) for v in network.trainable_variables) == count == 31_687_040


def test_non_local_blocks_follow_the_last_blocks(network):
    found = [
        f"{stage}.{number}"
        for stage, blocks in network.backbone.stages.items()
        for number, block in enumerate(blocks)
        if block.non_local is not None
    ]
    assert found == ["layer2.2", "layer2.3", "layer3.3", "layer3.4", "layer3.5"]


def tiny(architecture, **parts):
    return Specification(
        architecture, 3, 32, 16, width_factor=1 / 16, parts=NetworkParts(**{**SMALL, **parts})
    )


def images(count=2, seed=1):
    random = np.random.default_rng(seed)
    return tf.constant(random.standard_normal((count, 32, 16, 3)), tf.float32)


@pytest.mark.parametrize("name", ["shared", "separate", "until:stem", "within:layer2"])
def test_every_architecture(name):
    """Norms are shared and separate as it says; each modality has its first convolution."""
    architecture = {
        "shared": Architecture.shared,
        "separate": Architecture.separate,
        "until:stem": lambda b: Architecture.separate_until("stem", b),
        "within:layer2": lambda b: Architecture.separate_within("layer2", b),
    }[name]("resnet18")
    network = tiny(architecture, separate_stem=True, pooling="gem").build()
    branches = {site: list(norm.branches()) for site, norm in network.backbone.norms().items()}
    for site, choice in architecture.choices.items():
        assert branches[site] == (["shared"] if choice == "shared" else ["visible", "infrared"])
    both = network((images(), images(3, seed=2)), training=False)
    apart = [network.embed(images(), "visible"), network.embed(images(3, seed=2), "infrared")]
    np.testing.assert_allclose(both.logits, tf.concat([a.logits for a in apart], 0), atol=1e-5)
    if name == "shared":  # then the first convolution is all that tells them apart
        conv = network.backbone.conv1
        assert not np.allclose(network.embed(images(), "infrared").pooled, apart[0].pooled)
        conv["infrared"].kernel.assign(conv["visible"].kernel)
        np.testing.assert_array_equal(network.embed(images(), "infrared").pooled, apart[0].pooled)


def test_a_new_non_local_block_changes_no_embedding():
    specification = tiny(Architecture.shared("resnet18"))
    plain = Specification(specification.architecture, 3, 32, 16, width_factor=1 / 16).build()
    network = specification.build()
    for path, variable in network.get_weight_paths().items():
        if path in plain.get_weight_paths():
            variable.assign(plain.get_weight_paths()[path])
    np.testing.assert_array_equal(
        network.embed(images(), "visible").embedding, plain.embed(images(), "visible").embedding
    )


@pytest.mark.parametrize("pooling", ["average", "gem", "gem_trained"])
def test_pooling(pooling):
    """The mean, or the generalized one; its power, where it is trained, is the head's."""
    network = tiny(Architecture.shared("resnet18"), pooling=pooling).build()
    features = network.backbone(images(), Rows({"visible": 2}), training=False).numpy()
    power = 1 if pooling == "average" else 3
    expected = (features.astype(np.float64) ** power).mean(axis=(1, 2)) ** (1 / power)
    np.testing.assert_allclose(
        network.embed(images(), "visible").pooled, expected, rtol=1e-4, atol=2e-4
    )
    powers = [v for p, v in network.get_weight_paths().items() if p == "head.power"]
    assert [float(v) for v in powers] == ([3.0] if pooling == "gem_trained" else [])
    assert len(network.head.trainable_variables) == 2 + len(powers)


def test_json_round_trip_says_nothing_of_what_is_not_there():
    specification = tiny(Architecture.separate("resnet18"), pooling="gem")
    again = Specification.from_json(json.loads(json.dumps(specification.to_json())))
    assert again == specification and again.parts.non_local == (0, 1, 1, 0)
    plain = Specification(specification.architecture, 3, 32, 16)
    assert "parts" not in plain.to_json()
    assert Specification.from_json(plain.to_json()) == plain


def test_its_norms_can_be_searched():
    """The supernet has the same parts, and a gradient for every logit."""
    parts = NetworkParts(separate_stem=True, pooling="gem", **SMALL)
    space = NormSpace("resnet18", width=1 / 16, parts=parts)
    supernet = space.supernet(Softmax(), num_classes=3)
    logits = list(space.logits(supernet).values())
    for logit in logits:
        logit.assign([0.3, -0.2])
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(supernet((images(), images(seed=2)), training=True).pooled ** 2)
    assert all(gradient is not None for gradient in tape.gradient(total, logits))
    found = space.derive(supernet, {})
    derived = two_stream(found, 3, "resnet18", width=1 / 16, parts=parts)
    assert derived.backbone.stages["layer2"][1].non_local is not None
    assert isinstance(derived.backbone.conv1, dict)


@pytest.mark.parametrize("non_local", [(1, 1), (0, 3, 0, 0), (0, -1, 0, 0)])
def test_refuses_blocks_that_are_not_there(non_local):
    with pytest.raises(BadInput, match=r"non_local=\S+ does not fit resnet18; .* at most 2,2,2,2"):
        tiny(Architecture.shared("resnet18"), non_local=non_local).build()


@pytest.mark.parametrize("parts", [{"separate_stem": True}, {"non_local": (1, 0)}])
def test_refuses_what_cells_do_not_have(parts):
    shared = Architecture.shared(CellPlan(EVERYTHING, (1, 1)))
    with pytest.raises(BadInput, match=r"are for ResNets, .* `separate_stem` and `non_local` out"):
        two_stream(shared, 3, shared.backbone, width=1 / 16, parts=NetworkParts(**parts))
    assert two_stream(shared, 3, shared.backbone, width=1 / 16, parts=NetworkParts(pooling="gem"))
