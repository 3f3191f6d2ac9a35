"""What a result says of its origin."""

import json
from importlib import metadata

import cmnas_tf
from cmnas_tf.settings import Data, Run, Train
from cmnas_tf.training.provenance import provenance, versions


def test_settings_that_shape_the_result_and_the_seed():
    found = provenance(Train(run=Run(run_dir="runs/a", seed=7), data=Data(data_dir="/data")))
    assert found["settings"]["seed"] == 7
    assert found["settings"]["average_decay"] == 0.997
    assert found["settings"]["decay_epochs"] == [40.0, 70.0]
    assert not {"run_dir", "data_dir", "cache", "progress"} & set(found["settings"])
    assert json.loads(json.dumps(found)) == found


def test_versions():
    found = versions()
    assert found["cmnas_tf"] == cmnas_tf.__version__
    assert found["tensorflow"] == metadata.version("tensorflow")
    assert set(found) >= {"python", "keras", "numpy"}
