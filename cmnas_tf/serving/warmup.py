"""Requests that TensorFlow Serving answers by itself before it takes a version into service.

Without them the first caller of each signature waits for what a graph's first run costs.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from cmnas_tf.extras import needing
from cmnas_tf.models.specification import Specification
from cmnas_tf.serving.exported_model import MODEL_NAME, WARMUP
from cmnas_tf.serving.signatures import CAMERA, IMAGE_BYTES, MODALITY, PIXELS, K, Signature

with needing("serving"):
    from tensorflow_serving.apis.model_pb2 import ModelSpec
    from tensorflow_serving.apis.predict_pb2 import PredictRequest
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog, PredictLog


def write_warmup(
    folder: Path, specification: Specification, signatures: Mapping[str, Signature]
) -> None:
    """Writes the file of requests: a single black image, and two, for every signature.

    Args:
      folder: ``assets.extra`` of the model.
      specification: of the network.
      signatures: of the model.
    """
    shape = (specification.height, specification.width, 3)
    black = tf.io.encode_jpeg(np.zeros(shape, np.uint8)).numpy()
    with tf.io.TFRecordWriter(str(folder / WARMUP)) as file:
        for images in (1, 2):
            values = {
                IMAGE_BYTES: [black] * images,
                PIXELS: np.zeros((images, *shape), np.uint8),
                MODALITY: np.resize(specification.modalities, images),
                CAMERA: [""] * images,
                K: np.ones(images, np.int32),
            }
            for name, signature in signatures.items():
                request = PredictRequest(
                    model_spec=ModelSpec(name=MODEL_NAME, signature_name=name),
                    inputs={key: tf.make_tensor_proto(values[key]) for key in signature.inputs},
                )
                log = PredictionLog(predict_log=PredictLog(request=request))
                file.write(log.SerializeToString())
