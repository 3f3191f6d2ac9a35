"""What a checkpoint says of the network it holds."""

import json

import numpy as np

from cmnas_tf.architecture import Architecture
from cmnas_tf.models.specification import Specification

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
