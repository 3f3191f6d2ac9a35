"""The published networks, and the network of a genotype on one modality and on two."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf.genotype import Genotype
from cmnas_tf.models import cell_network
from cmnas_tf.models.cost import cost_of
from tests.models.genotypes import EVERYTHING

PUBLISHED = Path(__file__).parents[2] / "configs" / "architectures"


@pytest.mark.parametrize(
    "name, parameters, multiply_adds, exactly",
    [
        ("auto_reid_retrieval", "11.42", 1.93, 11_417_199),
        pytest.param("auto_reid_baseline_reid", "10.98", 1.80, 10_980_527, marks=pytest.mark.slow),
        pytest.param("auto_reid_baseline", "11.85", 2.12, 11_848_879, marks=pytest.mark.slow),
    ],
)
def test_costs_what_was_published(name, parameters, multiply_adds, exactly):
    """Millions of parameters to the last digit, and billions of multiply-adds within 1 %, of an
    image of 384 x 128, with a classifier of 751 identities straight on what was pooled.
    """
    network = cell_network(Genotype.load(PUBLISHED / f"{name}.json"), 751, neck=False)
    cost = cost_of(network, 384, 128)
    assert f"{cost.parameters / 1e6:.2f}" == parameters
    assert cost.parameters == exactly
    assert cost.multiply_adds / 1e9 == pytest.approx(multiply_adds, rel=0.01)


def small(**arguments):
    network = cell_network(EVERYTHING, 5, channels=4, cells=(1, 1), **arguments)
    rng = np.random.default_rng(3)
    for weight in network.weights:
        weight.assign(weight + 0.3 * rng.random(weight.shape))
    return network


def test_takes_one_modality_or_two():
    """Every norm is shared, so that what an image is called changes nothing in inference."""
    network, images = small(), tf.random.stateless_normal([5, 32, 16, 3], seed=[1, 2])
    visible = network.embed(images, "visible")
    both = network((images[:2], images[2:]))
    for mine, theirs in zip(both, visible, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-4)
    assert visible.pooled.shape == (5, 4 * 8) and visible.logits.shape == (5, 5)
    assert {len(norm.branches()) for norm in network.backbone.norms().values()} == {1}


def test_without_a_neck_the_embedding_is_what_was_pooled():
    network, images = small(neck=False), tf.random.stateless_normal([2, 32, 16, 3], seed=[1, 2])
    for training in (True, False):
        pooled, embedding, logits = network.embed(images, "visible", training=training)
        np.testing.assert_array_equal(pooled, embedding)
        kernel, bias = network.head.classifier.kernel, network.head.classifier.bias
        np.testing.assert_allclose(logits, pooled @ kernel + bias, rtol=1e-4, atol=1e-4)
    assert len(network.head.weights) == 2


def test_channels_and_cells_are_those_asked_for():
    network = cell_network(EVERYTHING, 5, channels=2, cells=[1, 2, 1])
    assert [len(cells) for cells in network.backbone.stages.values()] == [1, 2, 1]
    assert network.head.classifier.kernel.shape == (4 * 2 * 2**2, 5)
