"""A backbone of another package: one registration, and every network can be built of it."""

import json
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from cmnas_tf.architecture import (
    BACKBONES,
    Architecture,
    named_backbone,
    plan_of,
    sites_of,
    stages_of,
)
from cmnas_tf.errors import BadInput
from cmnas_tf.layers import Softmax, TorchConv
from cmnas_tf.models import two_stream
from cmnas_tf.models.backbones import BUILDERS, register_backbone
from cmnas_tf.models.specification import Specification
from cmnas_tf.search_spaces import CellSpace, NormSpace


@dataclass(frozen=True)
class PlainPlan:
    """Convolutions one after the other."""

    depth: int
    kind: ClassVar[str] = "plain"
    genotype: ClassVar[None] = None
    has_torch_names: ClassVar[bool] = False

    def sites(self):
        return tuple(f"stage{n}.bn" for n in range(1, self.depth + 1))


class Plain(keras.layers.Layer):
    """Each halves the feature map; the last one does with ``last_stride``."""

    smallest_height, rematerialize = 1, False

    def __init__(self, name, make_norm, width, last_stride):
        super().__init__()
        self.sites = sites_of(name)
        strides = [2] * (len(self.sites) - 1) + [last_stride]
        self.convs = [TorchConv(round(16 * width), 3, stride) for stride in strides]
        self.bns = [make_norm(site) for site in self.sites]

    def norms(self):
        return dict(zip(self.sites, self.bns, strict=True))

    def call(self, x, rows, training=False):
        for conv, norm in zip(self.convs, self.bns, strict=True):
            x = tf.nn.relu(norm(conv(x), rows=rows, training=training))
        return x


@pytest.fixture
def plain():
    register_backbone("plain3", PlainPlan(3), Plain)
    yield "plain3"
    BACKBONES.unregister("plain3")
    BUILDERS.unregister("plain")


def images(count):
    rng = np.random.default_rng(1)
    return [tf.constant(rng.standard_normal((count, 32, 16, 3)), tf.float32) for _ in range(2)]


def test_its_architectures(plain, tmp_path):
    """Are named, stored and counted like any other."""
    assert named_backbone(plain) == plain
    assert stages_of(plain) == ("stage1", "stage2", "stage3")
    architecture = Architecture.separate_until("stage2", plain)
    assert architecture.to_cfg() == "0 0 1"
    architecture.save(tmp_path / "architecture.json")
    assert Architecture.load(tmp_path / "architecture.json") == architecture
    with pytest.raises(BadInput, match=r"cells=1,2 is for a network of cells, and plain3 has none"):
        named_backbone(plain, (1, 2))


def test_its_two_stream_network(plain):
    """With the norms of the architecture, of the width and the last stride asked for."""
    architecture = Architecture.separate_until("stage2", plain)
    network = two_stream(architecture, 5, plain, last_stride=1, width=0.25)
    branches = {site: list(norm.branches()) for site, norm in network.backbone.norms().items()}
    both = ["visible", "infrared"]
    assert branches == {"stage1.bn": both, "stage2.bn": both, "stage3.bn": ["shared"]}
    assert network.embedding_size == 4
    assert network(images(2), training=True).logits.shape == (4, 5)
    assert [conv.strides for conv in network.backbone.convs] == [2, 2, 1]
    specification = Specification(architecture, 5, 32, 16, last_stride=2, width_factor=0.5)
    again = Specification.from_json(json.loads(json.dumps(specification.to_json()))).build()
    assert again.embedding_size == 8
    assert [conv.strides for conv in again.backbone.convs] == [2, 2, 2]


def test_its_space_of_norms(plain):
    """The supernet of all its architectures has a gradient for each logit, and can be decided."""
    space = NormSpace(plain, width=0.25)
    assert list(space.decisions()) == ["stage1.bn", "stage2.bn", "stage3.bn"]
    supernet = space.supernet(Softmax(), num_classes=5)
    logits = space.logits(supernet)
    assert list(logits) == list(space.decisions())
    logits["stage2.bn"].assign([1.0, 0.0])
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(supernet(images(3), training=True).pooled ** 2)
    assert all(tf.norm(gradient) > 0 for gradient in tape.gradient(total, list(logits.values())))
    assert space.derive(supernet, {}) == Architecture.separate_within("stage2", plain)
    drawn = space.random(3)
    space.select(supernet, drawn)
    assert space.derive(supernet, {}) == drawn
    assert space.contains(space.mutate(drawn, 1)) and not CellSpace().contains(drawn)
    assert two_stream(drawn, 5, plain, width=0.25).embedding_size == 4


@pytest.mark.parametrize(
    "name, kind, message",
    [
        ("resnet18", "new", "There is a backbone 'resnet18' already"),
        ("plain4", "resnet", "There is a kind of backbone 'resnet' already"),
        ("plain 4", "new", "The backbone 'plain 4' cannot be registered"),
    ],
)
def test_what_is_taken_leaves_nothing_behind(name, kind, message):
    """Neither the name nor the builder, so that another try is not refused for the first."""
    plan = type("Plan", (PlainPlan,), {"kind": kind})(4)
    before = dict(BACKBONES), dict(BUILDERS)
    with pytest.raises(BadInput, match=message):
        register_backbone(name, plan, Plain)
    assert (dict(BACKBONES), dict(BUILDERS)) == before


def test_a_second_one_of_the_same_kind(plain):
    """Needs a plan alone."""
    BACKBONES.register("plain2", PlainPlan(2))
    try:
        network = two_stream(Architecture.shared("plain2"), 5, "plain2")
        assert list(network.backbone.norms()) == ["stage1.bn", "stage2.bn"]
    finally:
        BACKBONES.unregister("plain2")


def test_a_backbone_that_nobody_registered():
    with pytest.raises(BadInput, match=r"There is no backbone 'plain3'"):
        plan_of("plain3")
