"""The operations of an edge against float64 NumPy, finite differences and counts by hand."""

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf.cell_plan import norms_of
from cmnas_tf.errors import BadInput
from cmnas_tf.genotype import NONE, OPERATIONS
from cmnas_tf.layers import ModalityNorm
from cmnas_tf.modality import Rows
from cmnas_tf.models import Head, ReidNetwork
from cmnas_tf.models.cell import operation
from tests.oracles.cells import CellForward
from tests.oracles.finite_differences import assert_gradients, assert_variable_gradients
from tests.oracles.policies import dtype_policy

NAMES = [name for name in OPERATIONS if name != NONE]
SIZES = [(8, 6), (7, 5), (5, 4)]
ROWS = Rows({"visible": 2, "infrared": 3})
FORMS = {"derived": "shared", "searched": None, "for two modalities": "separate"}

every_operation = pytest.mark.parametrize("name", NAMES)
both_strides = pytest.mark.parametrize("stride", [1, 2])


def built(name: str, stride: int, form: str = "derived", channels: int = 4, dtype="float64"):
    """An operation with random weights, and the sites it asked a norm for."""
    asked = []

    def make_norm(site, affine=True):
        asked.append(site)
        if form == "searched":
            return ModalityNorm("shared", affine=False)
        return ModalityNorm(FORMS[form], affine=affine)

    with dtype_policy(dtype):
        layer = operation(name, channels, stride, make_norm)
    layer(tf.zeros([5, 8, 6, channels], layer.compute_dtype), ROWS)
    rng = np.random.default_rng(2)
    for weight in layer.weights:
        weight.assign(weight + 0.3 * rng.random(weight.shape))
    return layer, asked


def weights_of(layer) -> dict[str, np.ndarray]:
    paths = ReidNetwork(layer, Head(1)).get_weight_paths()
    return {path.removeprefix("backbone."): weight.numpy() for path, weight in paths.items()}


def images(size: tuple[int, int], channels: int = 4) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((5, *size, channels))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", SIZES, ids=str)
@both_strides
@every_operation
def test_equals_the_oracle(name, stride, size, form, training):
    """In all its forms; both strides, even and odd sizes, in float64."""
    layer, _ = built(name, stride, form)
    x = images(size)
    forward = CellForward({f"op.{k}": v for k, v in weights_of(layer).items()}, 2, training)
    y = layer(tf.constant(x), ROWS, training=training)
    expected = forward.operation(name, x, "op", stride)
    assert y.shape == expected.shape == (5, *(-(-side // stride) for side in size), 4)
    np.testing.assert_allclose(y, expected, atol=1e-9 * np.abs(expected).max())


@both_strides
@every_operation
def test_gradients(name, stride):
    """For the input and for every weight, at an odd size."""
    layer, _ = built(name, stride, channels=3)
    x = images((7, 5), 3)[:2]
    weights = np.random.default_rng(3).standard_normal(
        layer(tf.constant(x), Rows({"visible": 2})).shape
    )

    def loss(x):
        return tf.reduce_sum(weights * layer(x, Rows({"visible": 2}), training=True))

    assert_gradients(loss, [x], tolerance=1e-6)
    if layer.trainable_weights:
        assert_variable_gradients(lambda: loss(tf.constant(x)), layer.trainable_weights, 1e-6)


@both_strides
@every_operation
def test_asks_for_the_norms_that_the_plan_lists(name, stride):
    layer, asked = built(name, stride)
    assert tuple(layer.norms()) == norms_of(name, stride)
    assert sorted(asked) == sorted(norms_of(name, stride))
    assert len({id(norm) for norm in layer.norms().values()}) == len(asked)


@pytest.mark.parametrize(
    "channels, count", [(64, 12_120), (128, 47_636), (256, 190_488), (512, 758_548)]
)
def test_parameters_of_the_part_aware_operation(channels, count):
    """With C = 64 and h = 21: stripes 4 (64 h + h), their norms 4 * 2 h, keys and queries
    2 (h h + h), last (64 + h) 64 + 2 * 64, together 12,120.
    """
    layer, _ = built("part_aware", 1, channels=channels, dtype="float32")
    assert sum(int(np.prod(weight.shape)) for weight in layer.trainable_weights) == count


@pytest.mark.parametrize(
    "name, stride, count",
    [
        ("max_pool_3x3", 2, 0),
        ("avg_pool_3x3", 1, 0),
        ("skip_connect", 1, 0),
        ("skip_connect", 2, 6 * 6 + 2 * 6),
        ("sep_conv_3x3", 2, 2 * (9 * 6 + 6 * 6 + 2 * 6)),
        ("dil_conv_3x3", 1, 9 * 6 + 6 * 6 + 2 * 6),
        ("part_aware", 2, 4 * (6 * 2 + 2 + 2 * 2) + 2 * (2 * 2 + 2) + 8 * 6 + 2 * 6),
    ],
)
def test_parameters_by_hand(name, stride, count):
    """Of six channels; a search has none of the norms' scales and offsets."""
    layer, _ = built(name, stride, channels=6)
    assert sum(int(np.prod(weight.shape)) for weight in layer.trainable_weights) == count
    searched, _ = built(name, stride, "searched", channels=6)
    assert not [weight for weight in searched.weights if "gamma" in weight.name]


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
@both_strides
@every_operation
def test_narrow_numbers(name, stride, dtype):
    """Feature maps narrow and near the float32 ones, weights and their gradients float32."""
    narrow, _ = built(name, stride, "searched", dtype=dtype)
    exact, _ = built(name, stride, "searched", dtype="float32")
    exact.set_weights(narrow.get_weights())
    x = tf.constant(images((7, 5)), tf.float32)
    with tf.GradientTape() as tape:
        y = narrow(x, ROWS, training=True)
        total = tf.reduce_sum(tf.cast(y, tf.float32) ** 2)
    assert y.dtype == narrow.compute_dtype
    expected = exact(x, ROWS, training=True).numpy()
    tolerance = {"mixed_bfloat16": 0.06, "mixed_float16": 0.01}[dtype] * np.abs(expected).max()
    np.testing.assert_allclose(tf.cast(y, tf.float32), expected, rtol=0, atol=tolerance)
    for gradient in tape.gradient(total, narrow.trainable_weights):
        assert gradient.dtype == tf.float32 and np.isfinite(gradient).all()


@every_operation
def test_graph_with_an_unknown_number_of_images_equals_eager(name):
    layer, _ = built(name, 2, dtype="float32")
    signature = [tf.TensorSpec([None, 7, 5, 4])]

    @tf.function(input_signature=signature)
    def graph(x):
        return layer(x, Rows({"visible": tf.shape(x)[0]}))

    x = tf.constant(images((7, 5)), tf.float32)
    np.testing.assert_allclose(graph(x), layer(x, Rows({"visible": 5})), rtol=1e-4, atol=1e-5)


def test_part_aware_by_hand():
    """One channel, four rows 1 2 3 4 of one pixel, every map the identity, norms that change
    nothing: parts 1 2 3 4, scores i * j, so row i finds sum_j softmax(i j)_j j. The last map adds
    it to the input.
    """
    layer, _ = built("part_aware", 1, channels=1)
    for weight in layer.weights:
        one = "kernel" in weight.name or "gamma" in weight.name or "variance" in weight.name
        weight.assign(tf.fill(weight.shape, tf.constant(1.0 if one else 0.0, tf.float64)))
    x = tf.reshape(tf.constant([1.0, 2.0, 3.0, 4.0], tf.float64), [1, 4, 1, 1])
    parts = np.arange(1.0, 5.0)
    found = [np.average(parts, weights=np.exp(i * parts)) for i in parts]
    y = tf.reshape(layer(x, Rows({"visible": 1})), [-1])
    np.testing.assert_allclose(y, parts + found, rtol=1e-4)  # the norms' epsilon is 1e-5


def test_part_aware_refuses_fewer_rows_than_parts():
    layer, _ = built("part_aware", 1)
    with pytest.raises(BadInput, match=r"4 horizontal stripes.*3 x 5 .*`image_height`"):
        layer(tf.zeros([1, 3, 5, 4], tf.float64), Rows({"visible": 1}))
