"""What every public layer must do: one row of the matrix for each, one column for each test."""

import inspect
import json
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import cmnas_tf.layers
from cmnas_tf.layers import (
    BatchNorm,
    DepthwiseConv,
    MixedModalityNorm,
    ModalityNorm,
    TorchConv,
)
from cmnas_tf.modality import Rows

MATRIX: dict[str, Callable[..., keras.layers.Layer]] = {
    "BatchNorm": BatchNorm,
    "BatchNorm, all arguments": lambda **policy: BatchNorm(
        momentum=0.5,
        epsilon=1e-3,
        train_beta=False,
        gamma_initializer=keras.initializers.RandomNormal(1.0, 0.1, seed=1),
        synchronized=True,
        **policy,
    ),
    "BatchNorm, not affine": lambda **policy: BatchNorm(affine=False, **policy),
    "DepthwiseConv": DepthwiseConv,
    "DepthwiseConv, stride 2": lambda **policy: DepthwiseConv(strides=2, **policy),
    "DepthwiseConv, dilated": lambda **policy: DepthwiseConv(strides=2, dilation=2, **policy),
    "MixedModalityNorm": MixedModalityNorm,
    "MixedModalityNorm, not affine": lambda **p: MixedModalityNorm(affine=False, **p),
    "MixedModalityNorm, synchronized": lambda **p: MixedModalityNorm(synchronized=True, **p),
    "ModalityNorm, separate": lambda **policy: ModalityNorm("separate", **policy),
    "ModalityNorm, not affine": lambda **p: ModalityNorm("separate", affine=False, **p),
    "ModalityNorm, shared": lambda **policy: ModalityNorm("shared", **policy),
    "ModalityNorm, synchronized": lambda **p: ModalityNorm("separate", synchronized=True, **p),
    "TorchConv": lambda **policy: TorchConv(4, 3, **policy),
    "TorchConv, stride 2": lambda **policy: TorchConv(
        filters=4, kernel_size=7, strides=2, **policy
    ),
}
SHAPE = [4, 6, 5, 3]
X = tf.constant(np.random.default_rng(1).standard_normal(SHAPE), tf.float32)

every_layer = pytest.mark.parametrize("make", MATRIX.values(), ids=list(MATRIX))


def test_no_public_layer_is_missing():
    public = {
        name
        for name, member in vars(cmnas_tf.layers).items()
        if inspect.isclass(member) and issubclass(member, keras.layers.Layer)
    }
    assert public == {row.split(",")[0] for row in MATRIX}
    assert public == {type(make()).__name__ for make in MATRIX.values()}


def built(make: Callable[..., keras.layers.Layer], **policy) -> keras.layers.Layer:
    """A layer whose variables are not what they start as."""
    layer = make(**policy)
    layer.build(tf.TensorShape([None, *SHAPE[1:]]))
    rng = np.random.default_rng(2)
    layer.set_weights([1.0 + 0.2 * rng.random(weight.shape) for weight in layer.weights])
    return layer


def call(layer: keras.layers.Layer, x: tf.Tensor, training: bool) -> tf.Tensor:
    """Half of the rows are visible; arguments that a layer does not take are left out."""
    half = x.shape[0] // 2
    offered = {"rows": Rows({"visible": half, "infrared": half}), "training": training}
    taken = inspect.signature(layer.call).parameters
    return layer(x, **{name: value for name, value in offered.items() if name in taken})


def assert_same_state(layer: keras.layers.Layer, other: keras.layers.Layer) -> None:
    for mine, theirs in zip(layer.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6)


@every_layer
def test_config_round_trip(make):
    """Through JSON and the registered name; the same weights then give the same output."""
    layer = built(make)
    config = json.loads(json.dumps(keras.layers.serialize(layer)))
    again = keras.layers.deserialize(config)
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()
    again.build(tf.TensorShape(SHAPE))
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(call(again, X, True), call(layer, X, True))
    assert_same_state(again, layer)


@every_layer
def test_graph_equals_eager(make):
    eager, graph = built(make), built(make)
    compiled = tf.function(lambda x, training: call(graph, x, training))
    for training in (True, False):  # the second pass uses what the first one left
        y = compiled(X, training)
        np.testing.assert_allclose(y, call(eager, X, training), rtol=1e-5, atol=1e-6)
        assert_same_state(graph, eager)


@every_layer
def test_weights_are_saved_and_restored(make, tmp_path):
    layer, fresh = built(make), make()
    path = tf.train.Checkpoint(layer=layer).save(str(tmp_path / "checkpoint"))
    status = tf.train.Checkpoint(layer=fresh).restore(path)
    np.testing.assert_array_equal(call(fresh, X, False), call(layer, X, False))
    status.assert_existing_objects_matched()
    assert_same_state(fresh, layer)


@every_layer
def test_saved_model(make, tmp_path):
    layer, module = built(make), tf.Module()
    module.layer = layer
    signature = [tf.TensorSpec(SHAPE)]
    module.serve = tf.function(lambda x: call(layer, x, False), input_signature=signature)
    tf.saved_model.save(module, str(tmp_path / "saved"))
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    np.testing.assert_allclose(loaded.serve(X), call(layer, X, False), rtol=1e-5, atol=1e-6)


@every_layer
def test_mixed_bfloat16(make):
    """bfloat16 output near the float32 one; variables and their gradients stay float32."""
    layer, exact = built(make, dtype="mixed_bfloat16"), built(make)
    with tf.GradientTape() as tape:
        y = call(layer, X, True)
        total = tf.reduce_sum(tf.cast(y, tf.float32) ** 2)
    assert y.dtype == tf.bfloat16
    reference = call(exact, X, True).numpy()
    error = np.abs(y.numpy().astype(np.float32) - reference).max()
    assert error < 0.03 * np.abs(reference).max()
    assert {weight.dtype for weight in layer.weights} == {tf.float32}
    for gradient in tape.gradient(total, layer.trainable_weights):
        assert gradient.dtype == tf.float32
        assert np.isfinite(gradient).all()


@every_layer
def test_two_replicas_infer_as_one(make, two_replicas):
    """Each replica gets a visible and an infrared row of the four."""
    with two_replicas.scope():
        layer = built(make)
    shares = [tf.gather(X, rows) for rows in ([0, 2], [1, 3])]
    share = two_replicas.experimental_distribute_values_from_function(
        lambda context: shares[context.replica_id_in_sync_group]
    )
    run = tf.function(lambda x: two_replicas.run(call, args=(layer, x, False)))
    found = tf.concat(two_replicas.experimental_local_results(run(share)), axis=0)
    expected = tf.gather(call(built(make), X, False), [0, 2, 1, 3])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
