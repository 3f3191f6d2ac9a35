"""Parameters and multiply-adds against counts by hand and published ones."""

import pytest
import tensorflow as tf
import tf_keras as keras

from cmnas_tf.architecture import Architecture
from cmnas_tf.layers import BatchNorm, DepthwiseConv, TorchConv
from cmnas_tf.models import Head, ReidNetwork, two_stream
from cmnas_tf.models.cost import Cost, cost_of, operation_cost


class Tiny(keras.layers.Layer):
    """A convolution at stride 2, a dilated depthwise one, a norm, and attention over pixels."""

    def __init__(self):
        super().__init__()
        self.conv = TorchConv(4, 3, 2)
        self.depthwise = DepthwiseConv(dilation=2)
        self.norm = BatchNorm()
        self.keys = keras.layers.Dense(2)

    def call(self, x, rows, training=False):
        x = self.norm(self.depthwise(self.conv(x)), training=training)
        pixels = tf.reshape(x, [-1, 12, 4])
        scores = tf.einsum("npk,nqk->npq", self.keys(pixels), self.keys(pixels))
        return tf.reshape(tf.nn.softmax(scores) @ pixels, tf.shape(x))


def test_by_hand():
    """An image of 8 x 6 becomes 4 x 3 pixels of 4 channels.

    Work: convolution 12 * 4 outputs of 9 * 3 inputs, depthwise 12 * 4 of 9, keys twice 12 * 2 of 4,
    scores 12 * 12 of 2, found 12 * 4 of 12; classifier 5 of 4. (TensorFlow cuts the dilated
    convolution into four phases of 2 x 2 pixels; their padding counts for nothing.)
    Parameters: 27 * 4, 9 * 4, norm 2 * 4, keys 4 * 2 + 2, neck 4 (its offset is not trained), 20.
    """
    network = ReidNetwork(Tiny(), Head(5))
    network.embed(tf.zeros([1, 8, 6, 3]), "visible")
    cost = cost_of(network, 8, 6)
    work = [48 * 27, 48 * 9, 2 * 24 * 4, 144 * 2, 48 * 12, 5 * 4]
    assert cost.multiply_adds == sum(work)
    assert cost.parameters == 108 + 36 + 8 + 10 + 4 + 20


def test_resnet50():
    """4.09 billion for 224 x 224 with 1,000 classes ("GFLOPS" in torchvision's documentation), and
    25,557,032 parameters, of which the bias of 1,000 is no part here, and the neck's scale is not
    there.
    """
    network = two_stream(Architecture.shared(), 1000, last_stride=2)
    cost = cost_of(network, 224, 224)
    assert f"{cost.multiply_adds / 1e9:.2f}" == "4.09"
    assert cost.parameters == 25_557_032 - 1000 + 2048


def test_an_image_goes_through_the_norms_of_its_modality_alone():
    """Norms apart have twice the parameters and no more work."""
    shared, separate = (
        cost_of(two_stream(architecture, 4, "resnet18", width=1 / 16), 64, 32)
        for architecture in (Architecture.shared("resnet18"), Architecture.separate("resnet18"))
    )
    norms = 2 * sum([4, *[4] * 4, *[8] * 5, *[16] * 5, *[32] * 5])
    assert separate.parameters - shared.parameters == norms
    assert separate.multiply_adds == shared.multiply_adds


def test_cost_for_people_to_read():
    shown = str(Cost(23_512_128, 4_087_136_256))
    assert shown == "23.5 million parameters, 4.09 billion multiply-adds an image"


@pytest.mark.parametrize(
    "name, stride, expected",
    [
        ("skip_connect", 1, Cost(0, 0)),
        ("max_pool_3x3", 2, Cost(0, 0)),
        ("skip_connect", 2, Cost(16 + 8, 9 * 16)),
        ("dil_conv_3x3", 1, Cost(36 + 16 + 8, 30 * (36 + 16))),
        ("dil_conv_3x3", 2, Cost(36 + 16 + 8, 9 * (36 + 16))),
        ("sep_conv_3x3", 2, Cost(2 * (36 + 16 + 8), 2 * 9 * (36 + 16))),
    ],
)
def test_operations_by_hand(name, stride, expected):
    """6 x 5 pixels of 4 channels become 3 x 3 at stride 2. A depthwise kernel has 9 * 4 numbers, a
    pointwise one 4 * 4, a norm 2 * 4; those of pooling have none."""
    assert operation_cost(name, 4, stride, 6, 5) == expected


@pytest.mark.parametrize(
    "channels, published", [(64, 12_120), (128, 47_636), (256, 190_488), (512, 758_548)]
)
def test_the_part_aware_operation_has_the_authors_parameters(channels, published):
    assert operation_cost("part_aware", channels, 1, 4, 2).parameters == published
