"""Requests that TensorFlow Serving answers by itself before it takes a version into service.

Without them the first caller of each signature waits for what a graph's first run costs.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog, PredictLog

from cmnas_tf.models.specification import Specification
from cmnas_tf.serving.model_folder import WARMUP
from cmnas_tf.serving.signatures import CAMERA, IMAGE_BYTES, MODALITY, PIXELS, K, Signature

_BATCHES = (1, 2)


def write_warmup(
    folder: Path, model_name: str, specification: Specification, signatures: Mapping[str, Signature]
) -> None:
    """Writes the file of requests: a single image, and two, for every signature.

    Args:
      folder: ``assets.extra`` of the model.
      model_name: what clients call the model.
      specification: of the network.
      signatures: of the model.
    """
    with tf.io.TFRecordWriter(str(folder / WARMUP)) as file:
        for name, signature in signatures.items():
            for images in _BATCHES:
                request = warmup_request(model_name, specification, name, signature, images)
                log = PredictionLog(predict_log=PredictLog(request=request))
                file.write(log.SerializeToString())


def warmup_request(
    model_name: str,
    specification: Specification,
    name: str,
    signature: Signature,
    images: int,
) -> PredictRequest:
    """A request with ``images`` black images."""
    shape = (specification.height, specification.width, 3)
    black = tf.io.encode_jpeg(np.zeros(shape, np.uint8)).numpy()
    values = {
        IMAGE_BYTES: np.array([black] * images),
        PIXELS: np.zeros((images, *shape), np.uint8),
        MODALITY: np.resize(specification.modalities, images),
        CAMERA: np.array([""] * images),
        K: np.ones(images, np.int32),
    }
    request = PredictRequest()
    request.model_spec.name = model_name
    request.model_spec.signature_name = name
    for given in signature.inputs:
        request.inputs[given].CopyFrom(tf.make_tensor_proto(values[given]))
    return request
