"""Tensors in messages of gRPC, from whoever sent them."""

import math

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2


def read_tensor(tensor: tensor_pb2.TensorProto) -> np.ndarray:
    """The values of a message, as many as its shape says; a single one is not repeated.

    Raises:
      ValueError: it is no tensor.
    """
    try:
        dtype = tf.as_dtype(tensor.dtype)
        elements = math.prod(dimension.size for dimension in tensor.tensor_shape.dim)
        values = [v for field, v in tensor.ListFields() if field.name.endswith("_val")]
        given = sum(map(len, values)) or len(tensor.tensor_content) // max(1, dtype.size)
        if given != elements:
            raise ValueError(f"{given} values in a shape of {elements}")
        return tf.make_ndarray(tensor)
    except (TypeError, LookupError) as error:
        raise ValueError(str(error)) from error
