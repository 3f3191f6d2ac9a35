"""Between JSON and tensors, in the two formats of TensorFlow Serving's REST interface.

Row format: ``{"instances": ...}``, an entry for each image, answered by ``{"predictions": ...}``.
Columnar format: ``{"inputs": ...}``, an array for each input, answered by ``{"outputs": ...}``.
Bytes are ``{"b64": "..."}``. See https://www.tensorflow.org/tfx/serving/api_rest.
"""

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from cmnas_tf.serving.call_error import refused

ROWS, COLUMNS = "instances", "inputs"


def read_inputs(
    request: Mapping[str, Any], signature: meta_graph_pb2.SignatureDef
) -> dict[str, np.ndarray]:
    """The arrays that a JSON object means as a request for a signature.

    Raises:
      CallError: INVALID_ARGUMENT.
    """
    if (ROWS in request) == (COLUMNS in request):
        raise refused(f"A request has either {ROWS!r} (by rows) or {COLUMNS!r} (by columns).")
    columns = _by_name(request[ROWS]) if ROWS in request else request[COLUMNS]
    if not isinstance(columns, dict) or _is_bytes(columns):
        if len(signature.inputs) != 1:
            names = ", ".join(signature.inputs)
            raise refused(f"Values must be named, since there are several: {names}.")
        columns = dict.fromkeys(signature.inputs, columns)
    # Those that are not wanted are refused with a sentence where inputs of any origin are checked.
    dtypes = {name: tf.as_dtype(tensor.dtype) for name, tensor in signature.inputs.items()}
    return {
        name: _array(name, value, dtypes.get(name, tf.string)) for name, value in columns.items()
    }


def written_outputs(outputs: Mapping[str, np.ndarray], by_rows: bool) -> dict[str, Any]:
    """What answers a request, JSON-ready; an output that is alone goes without its name."""
    columns = {name: _plain(name, array) for name, array in outputs.items()}
    found: Any = columns
    if len(columns) == 1:
        (found,) = columns.values()
    elif by_rows:
        rows = zip(*columns.values(), strict=True)
        found = [dict(zip(columns, row, strict=True)) for row in rows]
    return {"predictions" if by_rows else "outputs": found}


def _by_name(rows: Any) -> Any:
    """Rows with names as columns, others as they are."""
    if not isinstance(rows, list) or not rows:
        raise refused(f"{ROWS!r} must be a list with an entry for each image.")
    if not all(isinstance(row, dict) and not _is_bytes(row) for row in rows):
        return rows
    if any(row.keys() != rows[0].keys() for row in rows):
        raise refused(f"All entries of {ROWS!r} must have the same names.")
    return {name: [row[name] for row in rows] for name in rows[0]}


def _array(name: str, value: Any, dtype: tf.DType) -> np.ndarray:
    if dtype == tf.string:
        array = np.array(_bytes_of(name, value), dtype=object)
        if not all(isinstance(entry, bytes) for entry in array.flat):
            raise refused(f"The lists of input {name!r} must have the same length.")
        return array
    try:
        array = np.array(value)
    except ValueError as error:
        raise refused(f"Input {name!r} is no array: {error}.") from error
    kinds = "iuf" if dtype.is_floating else "iu"
    fits = array.size == 0 or (
        array.dtype.kind in kinds and dtype.min <= array.min() and array.max() <= dtype.max
    )
    if not fits:
        raise refused(
            f"Input {name!r} must be numbers of type {dtype.name}, between {dtype.min} and "
            f"{dtype.max}."
        )
    return array.astype(dtype.as_numpy_dtype)


def _bytes_of(name: str, value: Any) -> Any:
    """Nested lists of str and of ``{"b64": str}`` as nested lists of bytes."""
    if isinstance(value, list):
        return [_bytes_of(name, entry) for entry in value]
    if isinstance(value, str):
        return value.encode()
    if _is_bytes(value):
        try:
            return base64.b64decode(value["b64"], validate=True)
        except (TypeError, ValueError) as error:
            raise refused(f"Input {name!r} has an entry that is no base64: {error}.") from error
    raise refused(f'Input {name!r} must be strings, or bytes as {{"b64": "..."}}.')


def _is_bytes(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"b64"}


def _plain(name: str, array: np.ndarray) -> list[Any]:
    if array.dtype != object:
        return array.tolist()
    if name.endswith("_bytes"):  # TensorFlow Serving tells bytes from text by the name
        return [{"b64": base64.b64encode(entry).decode()} for entry in array.tolist()]
    return np.vectorize(lambda entry: entry.decode(errors="replace"), "O")(array).tolist()
