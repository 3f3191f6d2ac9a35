"""JSON and tensors; the formats are those of https://www.tensorflow.org/tfx/serving/api_rest."""

import base64
import json

import numpy as np
import pytest
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from cmnas_tf.serving.call_error import CallError
from cmnas_tf.serving.development_server.json_tensors import read_inputs, written_outputs


def signature(**dtypes):
    found = meta_graph_pb2.SignatureDef()
    for name, dtype in dtypes.items():
        found.inputs[name].dtype = dtype
    return found


FILES = signature(image_bytes=types_pb2.DT_STRING)
MIXED = signature(image_bytes=types_pb2.DT_STRING, k=types_pb2.DT_INT32)
PIXELS = signature(pixels=types_pb2.DT_UINT8)
FLOATS = signature(x=types_pb2.DT_FLOAT)


def b64(data):
    return {"b64": base64.b64encode(data).decode()}


@pytest.mark.parametrize(
    "request_",
    [
        {"instances": [b64(b"\x00\xff"), "text"]},
        {"instances": [{"image_bytes": b64(b"\x00\xff")}, {"image_bytes": "text"}]},
        {"inputs": [b64(b"\x00\xff"), "text"]},
        {"inputs": {"image_bytes": [b64(b"\x00\xff"), "text"]}},
    ],
)
def test_four_ways_to_write_two_files(request_):
    found = read_inputs(request_, FILES)
    assert found.keys() == {"image_bytes"}
    assert found["image_bytes"].dtype == object
    assert found["image_bytes"].tolist() == [b"\x00\xff", b"text"]


def test_bytes_that_end_with_zeros_keep_them():
    (found,) = read_inputs({"inputs": [b64(b"a\x00\x00")]}, FILES)["image_bytes"]
    assert found == b"a\x00\x00"


def test_several_inputs_by_rows_and_by_columns():
    rows = read_inputs({"instances": [{"image_bytes": "a", "k": 3}] * 2}, MIXED)
    columns = read_inputs({"inputs": {"image_bytes": ["a", "a"], "k": [3, 3]}}, MIXED)
    for found in (rows, columns):
        assert found["image_bytes"].tolist() == [b"a", b"a"]
        assert found["k"].tolist() == [3, 3]
        assert found["k"].dtype == np.int32


def test_numbers():
    pixels = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
    found = read_inputs({"instances": pixels.tolist()}, PIXELS)["pixels"]
    np.testing.assert_array_equal(found, pixels)
    assert found.dtype == np.uint8
    assert read_inputs({"inputs": {"x": [1, 2.5]}}, FLOATS)["x"].dtype == np.float32


@pytest.mark.parametrize(
    ("request_", "wanted", "message"),
    [
        ({}, FILES, "either 'instances' .* or 'inputs'"),
        ({"instances": ["a"], "inputs": ["a"]}, FILES, "either"),
        ({"instances": []}, FILES, "entry for each image"),
        ({"instances": "a"}, FILES, "entry for each image"),
        ({"instances": ["a"]}, MIXED, "named, since there are several: image_bytes, k|k, image"),
        ({"inputs": ["a"]}, MIXED, "named"),
        ({"instances": [{"image_bytes": "a", "k": 1}, {"k": 1}]}, MIXED, "the same names"),
        ({"inputs": [3]}, FILES, r"strings, or bytes as \{\"b64\""),
        ({"inputs": [None]}, FILES, "strings, or bytes"),
        ({"inputs": [{"b64": "@@@"}]}, FILES, "no base64"),
        ({"inputs": [{"b64": 5}]}, FILES, "no base64"),
        ({"inputs": [["a"], ["a", "b"]]}, FILES, "same length"),
        ({"inputs": ["a", ["b"]]}, FILES, "same length"),
        ({"inputs": [[1], [1, 2]]}, PIXELS, "no array"),
        ({"inputs": [256]}, PIXELS, "uint8, between 0 and 255"),
        ({"inputs": [-1]}, PIXELS, "uint8"),
        ({"inputs": [1.5]}, PIXELS, "uint8"),
        ({"inputs": [True]}, PIXELS, "uint8"),
        ({"inputs": ["1"]}, PIXELS, "uint8"),
        ({"inputs": [2**70]}, PIXELS, "uint8"),
        ({"inputs": [{"a": 1}]}, PIXELS, "uint8"),
        ({"inputs": {"x": [float("nan")]}}, FLOATS, "float32"),
    ],
)
def test_what_is_refused(request_, wanted, message):
    with pytest.raises(CallError, match=message) as raised:
        read_inputs(request_, wanted)
    assert raised.value.code == "INVALID_ARGUMENT"


def test_an_output_that_is_alone_goes_without_its_name():
    outputs = {"embedding": np.array([[0.5, 1], [2, 3]], np.float32)}
    assert written_outputs(outputs, by_rows=True) == {"predictions": [[0.5, 1.0], [2.0, 3.0]]}
    assert written_outputs(outputs, by_rows=False) == {"outputs": [[0.5, 1.0], [2.0, 3.0]]}


def test_several_outputs():
    ids = np.array([[b"a", "ä".encode()], [b"c", b"\xff"]], dtype=object)
    outputs = {"ids": ids, "scores": np.array([[0.5, 0.25], [1, 2]], np.float32)}
    texts = [["a", "ä"], ["c", "\ufffd"]]
    assert written_outputs(outputs, by_rows=False) == {
        "outputs": {"ids": texts, "scores": [[0.5, 0.25], [1.0, 2.0]]}
    }
    assert written_outputs(outputs, by_rows=True) == {
        "predictions": [
            {"ids": texts[0], "scores": [0.5, 0.25]},
            {"ids": texts[1], "scores": [1.0, 2.0]},
        ]
    }


def test_bytes_are_told_from_text_by_the_name_of_the_output():
    outputs = {"image_bytes": np.array([b"\xff"], dtype=object)}
    assert written_outputs(outputs, by_rows=False) == {"outputs": [b64(b"\xff")]}


def test_a_float_comes_back_as_the_same_float():
    values = np.random.default_rng(0).standard_normal(100).astype(np.float32)
    text = json.dumps(written_outputs({"x": values}, by_rows=False))
    np.testing.assert_array_equal(np.array(json.loads(text)["outputs"], np.float32), values)
