"""The convolutional part: which sites, how many parameters, and what it computes."""

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf.architecture import sites_of
from cmnas_tf.layers import ModalityNorm
from cmnas_tf.modality import Rows
from cmnas_tf.models import Head, ReidNetwork, ResNet
from tests.oracles.policies import dtype_policy
from tests.oracles.resnet import Forward

# Parameters with the 1000-way classifier, as torchvision's documentation lists them ("num_params"
# of the ImageNet weights), and features, which tell the classifier's share: (features + 1) * 1000.
TORCHVISION = {
    "resnet18": (11_689_512, 512),
    "resnet34": (21_797_672, 512),
    "resnet50": (25_557_032, 2048),
    "resnet101": (44_549_160, 2048),
    "resnet152": (60_192_808, 2048),
}
slow = pytest.mark.slow


def shared(site: str) -> ModalityNorm:
    return ModalityNorm("shared")


def alternating(site: str) -> ModalityNorm:
    """Separate where the name has an even length: some of each in every stage."""
    return ModalityNorm("separate" if len(site) % 2 == 0 or site == "stem" else "shared")


def built(backbone: str, make_norm=shared, **arguments) -> ResNet:
    network = ResNet(backbone, make_norm, **arguments)
    network(tf.zeros([2, 32, 32, 3]), Rows({"visible": 1, "infrared": 1}))
    return network


@pytest.mark.parametrize(
    "backbone",
    ["resnet18", "resnet50", *(pytest.param(f"resnet{n}", marks=slow) for n in (34, 101, 152))],
)
def test_has_torchvisions_parameters(backbone):
    """ResNet-50: 25,557,032 - 2,049 * 1,000 = 23,508,032 in convolutions and batch norms."""
    total, features = TORCHVISION[backbone]
    network = built(backbone)
    count = sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)
    assert count == total - (features + 1) * 1000


@pytest.mark.parametrize("backbone", TORCHVISION)
def test_norms_are_asked_for_and_listed_in_the_order_of_the_sites(backbone):
    asked = {}

    def make_norm(site):
        assert site not in asked
        asked[site] = ModalityNorm("shared", name=site.replace(".", "_"))
        return asked[site]

    norms = ResNet(backbone, make_norm, width=1 / 64).norms()
    assert list(asked) == list(norms) == list(sites_of(backbone))
    assert all(norms[site] is asked[site] for site in asked)


@pytest.mark.parametrize(
    "backbone, last_stride, visible", [("resnet18", 1, 2), ("resnet18", 2, 3), ("resnet50", 1, 2)]
)
@pytest.mark.parametrize("training", [True, False])
def test_equals_the_oracle(backbone, last_stride, visible, training):
    """Separate and shared norms mixed, images of odd height, every weight random, in float64."""
    rng = np.random.default_rng(1)
    with dtype_policy("float64"):
        network = built(backbone, alternating, last_stride=last_stride, width=1 / 32)
    for weight in network.weights:
        weight.assign(weight + 0.2 * rng.random(weight.shape))
    paths = ReidNetwork(network, Head(1)).get_weight_paths()
    weights = {path.removeprefix("backbone."): weight.numpy() for path, weight in paths.items()}
    x = rng.standard_normal((5, 41, 24, 3))
    y = network(tf.constant(x), Rows({"visible": visible, "infrared": 5 - visible}), training)
    expected = Forward(weights, visible, training)(x, backbone, last_stride)
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize(
    "last_stride, width, shape",
    [(1, 1 / 16, (4, 2, 32)), (2, 1 / 16, (2, 1, 32)), (1, 0.05, (4, 2, 24))],
    ids=["last stride 1", "last stride 2", "width 0.05"],
)
def test_feature_map(last_stride, width, shape):
    """64 x 32 pixels over 16 (or 32), 512 channels times the width; 64 * 0.05 rounds to 3."""
    network = ResNet("resnet18", shared, last_stride, width)
    assert network(tf.zeros([2, 64, 32, 3]), Rows({"visible": 2})).shape == (2, *shape)
