"""The requests that warm up a server are ones that the model answers, for every signature."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from cmnas_tf.architecture import Architecture
from cmnas_tf.models.specification import Specification
from cmnas_tf.serving.entries import Entry
from cmnas_tf.serving.export import write_warmup
from cmnas_tf.serving.exported_model import MODEL_NAME, WARMUP
from cmnas_tf.serving.gallery import Gallery
from cmnas_tf.serving.serving_module import ServingModule

ARCHITECTURE = Architecture.shared("resnet18")


@pytest.mark.slow
def test_every_signature_is_warmed_up(tmp_path):
    specification = Specification(ARCHITECTURE, 5, 32, 16, width_factor=1 / 16)
    keras.utils.set_random_seed(0)
    network = specification.build()
    rows = np.eye(2, network.embedding_size, dtype=np.float32)
    gallery = Gallery.of("", [Entry(name, name, "1", "visible") for name in "ab"], rows)
    module = ServingModule(network, specification, gallery)
    functions = module.get_inference_signatures({name: name for name in module.signatures})

    def answering(name):
        return lambda **given: functions[name](
            *(given[key] for key in module.signatures[name].inputs)
        )

    answers = {name: answering(name) for name in module.signatures}
    write_warmup(tmp_path, specification, module.signatures, answers)

    records = tf.data.TFRecordDataset(str(tmp_path / WARMUP)).as_numpy_iterator()
    logs = [PredictionLog.FromString(record).predict_log for record in records]
    requests = [log.request for log in logs]
    names = [request.model_spec.signature_name for request in requests]
    assert sorted(set(names)) == sorted(module.signatures)
    assert {request.model_spec.name for request in requests} == {MODEL_NAME}
    for name, request, log in zip(names, requests, logs, strict=True):
        signature = module.signatures[name]
        assert set(request.inputs) == set(signature.inputs)
        given = [tf.make_ndarray(request.inputs[key]) for key in signature.inputs]
        answer = functions[name](*map(tf.constant, given))
        for spec in module.outputs(signature):
            assert answer[spec.name].dtype == spec.dtype
            assert spec.shape.is_compatible_with(answer[spec.name].shape)
            assert len(answer[spec.name]) == len(given[0])
            recorded = tf.make_ndarray(log.response.outputs[spec.name])
            np.testing.assert_array_equal(recorded, answer[spec.name])


def test_a_network_of_one_modality(tmp_path):
    """It has the signatures of that modality alone, and needs no word of it by default."""
    specification = Specification(
        ARCHITECTURE, 5, 32, 16, width_factor=1 / 16, modalities=("visible",)
    )
    module = ServingModule(specification.build(), specification)
    inputs = {name: signature.inputs for name, signature in module.signatures.items()}
    assert inputs == {
        "embed_visible": ("image_bytes",),
        "embed_visible_pixels": ("pixels",),
        "embed": ("image_bytes", "modality"),
        "serving_default": ("image_bytes",),
    }
