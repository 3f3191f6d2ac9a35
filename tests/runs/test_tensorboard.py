"""What TensorBoard's log of a run holds."""

import numpy as np
import tensorflow as tf
from PIL import Image

from cmnas_tf.runs.tensorboard import log, open_log


def test_numbers_and_tables_of_a_step(tmp_path):
    """A table is a grey picture of squares, the first row on top."""
    writer = open_log(tmp_path, 0)
    log(writer, {"number": 0.5, "table": np.array([[0.0, 1.0, 0.2]])}, 3)
    writer.close()
    (file,) = tmp_path.iterdir()
    found = {
        value.tag: (event.step, tf.make_ndarray(value.tensor))
        for event in tf.compat.v1.train.summary_iterator(str(file))
        for value in event.summary.value
    }
    assert found["number"] == (3, 0.5)
    step, (width, height, encoded) = found["table"]
    assert (step, int(width), int(height)) == (3, 30, 10)
    picture = tf.io.decode_png(encoded).numpy()[..., 0]
    assert (picture == np.repeat([0, 255, 51], 10)).all()


def test_a_picture_is_kept_as_a_jpeg(tmp_path):
    writer = open_log(tmp_path, 0)
    log(writer, {"queries": Image.new("RGB", (40, 20), "red")}, 3)
    writer.close()
    (file,) = tmp_path.iterdir()
    *_, event = tf.compat.v1.train.summary_iterator(str(file))
    (value,) = event.summary.value
    assert value.metadata.plugin_data.plugin_name == "images"
    width, height, encoded = tf.make_ndarray(value.tensor)
    assert (event.step, int(width), int(height)) == (3, 40, 20)
    assert tf.io.is_jpeg(encoded) and (tf.io.decode_jpeg(encoded)[..., 0] > 250).numpy().all()


def test_is_written_by_the_processor_wherever_steps_are_computed(tmp_path, monkeypatch):
    """A GPU would take each number only when it is done with the steps it was given."""
    seen = []
    monkeypatch.setattr(
        tf.summary, "scalar", lambda name, value, step: seen.append(tf.constant(value).device)
    )
    with tf.device("CPU:1"):
        log(open_log(tmp_path, 0), {"a": 1.0, "b": 2.0}, 0)
    assert [device[-5:] for device in seen] == ["CPU:0", "CPU:0"]
