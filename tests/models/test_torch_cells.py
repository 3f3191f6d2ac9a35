"""The operations of an edge in PyTorch and in TensorFlow, both in float64, with the same weights.

Written from the description of the operations; where PyTorch is not installed these tests are
skipped.
"""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf.genotype import NONE, OPERATIONS
from cmnas_tf.layers import ModalityNorm
from cmnas_tf.modality import Rows
from cmnas_tf.models.cell import operation
from tests.oracles.policies import dtype_policy

torch = pytest.importorskip("torch")
nn = torch.nn

CHANNELS, HIDDEN = 6, 2
ROWS = Rows({"visible": 4})


def depthwise_separable(stride: int, dilation: int) -> list[nn.Module]:
    return [
        nn.ReLU(),
        nn.Conv2d(CHANNELS, CHANNELS, 3, stride, dilation, dilation, groups=CHANNELS, bias=False),
        nn.Conv2d(CHANNELS, CHANNELS, 1, bias=False),
        nn.BatchNorm2d(CHANNELS),
    ]


class Reduce(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.even = nn.Conv2d(channels, CHANNELS // 2, 1, 2, bias=False)
        self.odd = nn.Conv2d(channels, CHANNELS // 2, 1, 2, bias=False)
        self.bn = nn.BatchNorm2d(CHANNELS)

    def forward(self, x):
        x = torch.relu(x)
        longer = nn.functional.pad(x, (0, 1, 0, 1))
        return self.bn(torch.cat([self.even(x), self.odd(longer[:, :, 1:, 1:])], dim=1))


class PartAware(nn.Module):
    def __init__(self, stride: int):
        super().__init__()
        self.maps = nn.ModuleList([nn.Linear(CHANNELS, HIDDEN) for _ in range(4)])
        self.norms = nn.ModuleList([nn.BatchNorm1d(HIDDEN) for _ in range(4)])
        self.keys, self.queries = nn.Linear(HIDDEN, HIDDEN), nn.Linear(HIDDEN, HIDDEN)
        wide = CHANNELS + HIDDEN
        self.last = (
            Reduce(wide)
            if stride == 2
            else nn.Sequential(nn.Conv2d(wide, CHANNELS, 1, bias=False), nn.BatchNorm2d(CHANNELS))
        )

    def forward(self, x):
        bounds = [int(i * x.shape[2] / 4) for i in range(5)]
        stripes = [x[:, :, a:b] for a, b in itertools.pairwise(bounds)]
        parts = torch.stack(
            [
                norm(linear(torch.relu(stripe.mean((2, 3)))))
                for stripe, linear, norm in zip(stripes, self.maps, self.norms, strict=True)
            ],
            dim=1,
        )
        attention = torch.softmax(self.keys(parts) @ self.queries(parts).transpose(1, 2), dim=2)
        found = (attention @ parts).transpose(1, 2)
        laid = torch.cat(
            [
                found[:, :, i, None, None].expand(-1, -1, stripe.shape[2], x.shape[3])
                for i, stripe in enumerate(stripes)
            ],
            dim=2,
        )
        return self.last(torch.cat([x, laid], dim=1))


def in_torch(name: str, stride: int) -> nn.Module:
    plain = nn.BatchNorm2d(CHANNELS, affine=False)
    return {
        "max_pool_3x3": lambda: nn.Sequential(nn.MaxPool2d(3, stride, 1), plain),
        "avg_pool_3x3": lambda: nn.Sequential(
            nn.AvgPool2d(3, stride, 1, count_include_pad=False), plain
        ),
        "skip_connect": lambda: nn.Identity() if stride == 1 else Reduce(CHANNELS),
        "sep_conv_3x3": lambda: nn.Sequential(
            *depthwise_separable(stride, 1), *depthwise_separable(1, 1)
        ),
        "dil_conv_3x3": lambda: nn.Sequential(*depthwise_separable(stride, 2)),
        "part_aware": lambda: PartAware(stride),
    }[name]().double()


def give_weights(theirs: nn.Module, ours) -> list[tuple]:
    """Copies ours into theirs, in the order of a batch's way; the pairs of the same parameter."""

    def norm(layer, other, own=slice(None)):
        bn = layer.shared
        other.running_mean.copy_(torch.tensor(bn.moving_mean.numpy()[own]))
        other.running_var.copy_(torch.tensor(bn.moving_variance.numpy()[own]))
        if other.affine:
            other.weight.copy_(torch.tensor(bn.gamma.numpy()[own]))
            other.bias.copy_(torch.tensor(bn.beta.numpy()[own]))

    def kernel(layer, other):
        axes = (2, 3, 0, 1) if other.groups > 1 else (3, 2, 0, 1)
        other.weight.copy_(torch.tensor(layer.kernel.numpy().transpose(axes)))

    def reduce(layer, other):
        kernel(layer.even, other.even)
        kernel(layer.odd, other.odd)
        norm(layer.bn, other.bn)

    def separable(layer, others):
        kernel(layer.depthwise, others[1])
        kernel(layer.pointwise, others[2])
        norm(layer.bn, others[3])

    def part_aware(layer, other):
        for i in range(4):
            other.maps[i].weight.copy_(torch.tensor(layer.kernel.numpy()[i].T))
            other.maps[i].bias.copy_(torch.tensor(layer.bias.numpy()[i]))
            norm(layer.parts_bn, other.norms[i], slice(i * HIDDEN, (i + 1) * HIDDEN))
        for name in ("keys", "queries"):
            dense, linear = getattr(layer, name), getattr(other, name)
            linear.weight.copy_(torch.tensor(dense.kernel.numpy().T))
            linear.bias.copy_(torch.tensor(dense.bias.numpy()))
        if isinstance(other.last, Reduce):
            reduce(layer.last, other.last)
        else:
            kernel(layer.last.conv, other.last[0])
            norm(layer.last.bn, other.last[1])

    with torch.no_grad():
        if isinstance(theirs, PartAware):
            part_aware(ours, theirs)
        elif isinstance(theirs, Reduce):
            reduce(ours, theirs)
        elif hasattr(ours, "first"):
            separable(ours.first, theirs[:4])
            separable(ours.second, theirs[4:])
        elif hasattr(ours, "depthwise"):
            separable(ours, theirs)
        elif hasattr(ours, "bn"):
            norm(ours.bn, theirs[1])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("size", [(8, 6), (7, 5)], ids=str)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", [name for name in OPERATIONS if name != NONE])
def test_equals_torch(name, stride, size, training):
    """The output, and the gradient for the input, which goes through everything."""
    with dtype_policy("float64"):
        ours = operation(
            name, CHANNELS, stride, lambda _, affine=True: ModalityNorm("shared", affine=affine)
        )
    rng = np.random.default_rng(1)
    x = rng.standard_normal((4, *size, CHANNELS))
    ours(tf.constant(x), ROWS)
    for weight in ours.weights:
        weight.assign(weight + 0.3 * rng.random(weight.shape))
    theirs = in_torch(name, stride).train(training)
    give_weights(theirs, ours)
    inputs, same = tf.constant(x), torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        y = ours(inputs, ROWS, training=training)
        weights = rng.standard_normal(y.shape)
        total = tf.reduce_sum(weights * y)
    expected = theirs(same)
    (expected * torch.tensor(weights.transpose(0, 3, 1, 2))).sum().backward()
    for mine, other in ((y, expected.detach()), (tape.gradient(total, inputs), same.grad)):
        other = other.numpy().transpose(0, 2, 3, 1)
        np.testing.assert_allclose(mine, other, rtol=0, atol=1e-9 * np.abs(other).max())
