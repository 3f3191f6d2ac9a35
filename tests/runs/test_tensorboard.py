"""What TensorBoard's log of a run holds."""

import numpy as np
import tensorflow as tf

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
