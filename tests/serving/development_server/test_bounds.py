"""Requests that hold little and ask for much."""

import time

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.predict_pb2 import PredictRequest

from cmnas_tf.serving.call_error import CallError
from cmnas_tf.serving.development_server import loaded_version
from cmnas_tf.serving.development_server.grpc_service import _array, _parsed, _predict
from cmnas_tf.serving.development_server.loaded_version import LoadedVersion
from cmnas_tf.serving.development_server.served_model import ServedModel
from tests.mutations import MUTATIONS, SEED, mutated
from tests.serving import stand_in

PNG = stand_in.encoded(stand_in.pictures(1)[0])


@pytest.fixture(scope="module")
def version(models):
    loaded = LoadedVersion(models / "1")
    yield loaded
    loaded.close()


def tensor(dtype, shape, **values):
    dims = [{"size": size} for size in shape]
    return tensor_pb2.TensorProto(dtype=dtype, tensor_shape={"dim": dims}, **values)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (tensor("DT_STRING", [8_000_000], string_val=[PNG]), "1 values in a shape of 8000000"),
        (tensor("DT_UINT8", [2**20, 2**10], int_val=[7]), "1 values in a shape of 1073741824"),
        (tensor("DT_UINT8", [3], tensor_content=b"ab"), "2 values in a shape of 3"),
        (tensor("DT_FLOAT", [2**62], float_val=[]), "0 values in a shape of"),
        (tensor("DT_FLOAT", [0, 2**62, 2**62], float_val=[]), "is no tensor"),
        (tensor("DT_INT32", [-2, -1], int_val=[1, 2]), "is no tensor"),
        (tensor("DT_STRING", [], string_val=[PNG, PNG]), "2 values in a shape of 1"),
        (tensor("DT_RESOURCE", [0]), "is no tensor"),
        (tensor("DT_STRING", [4], tensor_content=b"abcd"), "is no tensor"),
    ],
)
def test_as_many_values_as_the_shape_says(given, message):
    with pytest.raises(CallError, match=message) as raised:
        _array("x", given)
    assert raised.value.code == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    "array",
    [
        np.array([PNG, b""], object),
        np.zeros((0, 3), np.uint8),
        np.full((2, 3), 7, np.uint8),
        np.array(3, np.int32),
        np.array([True, False]),
        np.array([0.5], np.float16),
        np.array([[1.5, 2.5]]),
    ],
)
def test_what_clients_write_is_read(array):
    read = _array("x", tf.make_tensor_proto(array))
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)


def test_a_request_is_given_up_between_images(version):
    """Of so many large images few are decoded: the time is that of far fewer than there are."""
    large = stand_in.encoded(np.zeros((3000, 3000, 3), np.uint8))
    begun = time.monotonic()
    version.predict("embed_visible", {"image_bytes": np.array([large], object)})
    one = time.monotonic() - begun
    with pytest.raises(CallError, match=r"not done within .* s. Send fewer") as raised:
        version.predict("embed_visible", {"image_bytes": np.array([large] * 100, object)}, one)
    assert raised.value.code == "DEADLINE_EXCEEDED"
    assert time.monotonic() - begun < 30 * one


def test_a_client_that_has_gone_is_not_worked_for(models, monkeypatch):
    """Its deadline is over before the work begins; and without one there is an end, too."""
    served = ServedModel(models, "reid", 10**6)
    served.refresh()
    request = PredictRequest(model_spec=ModelSpec(name="reid", signature_name="embed_visible"))
    many = np.array([stand_in.encoded(np.zeros((900, 900, 3), np.uint8))] * 50, object)
    request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto(many))
    for seconds in (0.0, -1.0):
        with pytest.raises(CallError, match=r"within 0\.001 s"):
            _predict(served, request, seconds)
    monkeypatch.setattr(loaded_version, "MOST_SECONDS", 0.01)
    with pytest.raises(CallError, match=r"within 0\.01 s"):
        _predict(served, request, None)
    served.close()


@pytest.mark.parametrize("signature", ["embed", "embed_visible", "embed_visible_pixels"])
def test_mutated_requests(signature, models):
    """The bytes of a message: an answer or a refusal, nothing else."""
    served = ServedModel(models, "reid", 10**6)
    served.refresh()
    values = {"image_bytes": [PNG], "pixels": stand_in.pictures(1), "modality": ["visible"]}
    request = PredictRequest(model_spec=ModelSpec(name="reid", signature_name=signature))
    with served.using(ModelSpec(name="reid")) as version:
        names = list(version.signatures[signature].inputs)
    for name in names:
        request.inputs[name].CopyFrom(tf.make_tensor_proto(values[name]))
    content = request.SerializeToString()
    for number in range(MUTATIONS):
        damaged = mutated(content, np.random.default_rng([SEED, number]))
        try:
            _predict(served, _parsed(PredictRequest, damaged), 10.0).SerializeToString()
        except CallError as error:
            known = ("INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION")
            assert error.code in known, error
        except Exception as error:
            raise AssertionError(f"mutation {number} of seed {SEED}: {damaged!r}") from error
    served.close()
