"""What a checkpoint says of the network it holds."""

import json
from dataclasses import replace

import numpy as np
import pytest

from cmnas_tf.architecture import Architecture
from cmnas_tf.cell_plan import CellPlan
from cmnas_tf.errors import BadInput
from cmnas_tf.models.specification import Specification
from tests.models.genotypes import EVERYTHING

SPECIFICATION = Specification(
    Architecture.separate_until("layer1", "resnet18"),
    num_classes=5,
    height=64,
    width=32,
    last_stride=2,
    width_factor=1 / 32,
)


def test_json_round_trip():
    again = Specification.from_json(json.loads(json.dumps(SPECIFICATION.to_json())))
    assert again == SPECIFICATION
    assert again != Specification(SPECIFICATION.architecture, 5, 64, 32, width_factor=1 / 32)


def test_a_range_of_16_bits_is_kept_and_nothing_where_there_is_none():
    deep = replace(SPECIFICATION, grey16=(29000, 31000))
    content = json.loads(json.dumps(deep.to_json()))
    assert content.pop("grey16") == [29000, 31000]
    assert content == json.loads(json.dumps(SPECIFICATION.to_json()))
    assert Specification.from_json({**content, "grey16": [29000, 31000]}) == deep != SPECIFICATION


def test_the_modalities_it_was_trained_on():
    """Both, where nothing is said: in a checkpoint of an earlier version too."""
    visible = replace(SPECIFICATION, modalities=("visible",))
    content = json.loads(json.dumps(visible.to_json()))
    assert Specification.from_json(content) == visible != SPECIFICATION
    del content["modalities"]
    assert Specification.from_json(content) == SPECIFICATION
    assert SPECIFICATION.modalities == ("visible", "infrared")


def test_builds_the_same_network_again():
    """Same variables by path and shape, as the fields say; synchronised on request."""
    first = SPECIFICATION.build()
    again = Specification.from_json(SPECIFICATION.to_json()).build(synchronized=True)
    shapes = [
        {path: tuple(weight.shape) for path, weight in network.get_weight_paths().items()}
        for network in (first, again)
    ]
    assert shapes[0] == shapes[1]
    assert "backbone.layer1.1.bn2.visible.gamma" in shapes[0]
    assert "backbone.layer2.0.bn1.shared.gamma" in shapes[0]
    assert shapes[0]["head.classifier.kernel"] == (16, 5)
    assert first.backbone.stages["layer4"][0].conv1.strides == 2
    for network, synchronized in ((first, False), (again, True)):
        assert network.head.neck.synchronized is synchronized
        norms = network.backbone.norms().values()
        assert all(norm.synchronized is synchronized for norm in norms)
        images = np.zeros((2, 64, 32, 3), np.float32)
        assert network.embed(images, "infrared").logits.shape == (2, 5)


def of_cells(**changes) -> Specification:
    """Two stages of one cell, the norms of the first one apart."""
    architecture = Architecture.separate_until("layer1", CellPlan(EVERYTHING, (1, 1)))
    given = {"num_classes": 5, "height": 32, "width": 16, "width_factor": 1 / 16}
    return Specification(architecture, **{**given, **changes})


def test_describes_networks_of_cells_in_the_same_way():
    specification = of_cells()
    again = Specification.from_json(json.loads(json.dumps(specification.to_json())))
    assert again == specification
    assert again.architecture.backbone.genotype == EVERYTHING
    network = again.build()
    norms = network.backbone.norms()
    assert list(norms["layer1.0.node3.input0.parts_bn"].branches()) == ["visible", "infrared"]
    assert list(norms["layer2.0.node3.input0.bn"].branches()) == ["shared"]
    images = np.zeros((2, 32, 16, 3), np.float32)
    assert network.embed(images, "infrared").pooled.shape == (2, 4 * 4 * 2)


def test_refuses_images_that_cells_are_too_small_for():
    """Two stages divide by 8, and its part-aware operations stand at 4: 13 rows become 7 and 4."""
    of_cells(height=13).build()
    with pytest.raises(BadInput, match=r"Images 12 pixels high .* Give image_height=13 or more"):
        of_cells(height=12).build()


def test_refuses_a_last_stride_that_cells_do_not_have():
    with pytest.raises(BadInput, match=r"^last_stride=2 is for ResNets"):
        of_cells(last_stride=2).build()
