"""TensorBoard's log of a run: a value of each step, once."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image
from tensorboard.plugins.image.metadata import create_summary_metadata
from tensorflow.core.util.event_pb2 import Event

from cmnas_tf.files import replacing, writing_by


def open_log(folder: Path, start: int) -> tf.summary.SummaryWriter:
    """A writer of steps from ``start`` on, which a killed process may have written before."""
    with writing_by(tf.errors.OpError, folder):
        for file in folder.glob("*.tfevents.*"):
            _cut(file, start)
        return tf.summary.create_file_writer(str(folder))


def log(writer: tf.summary.SummaryWriter, values: Mapping[str, Any], step: int) -> None:
    """Writes the values of a step: numbers, pictures, and tables [H, W] of 0..1, 1 is white."""
    # Whatever device computes: a GPU takes a number when it is done with all it was given before.
    own = tf.device("CPU:0")
    with writing_by(tf.errors.OpError, "TensorBoard's log"), own, writer.as_default():
        for name, value in values.items():
            if isinstance(value, np.ndarray):
                squares = np.kron(value, np.ones((10, 10)))  # pixels
                tf.summary.image(name, squares[None, ..., None], step=step)
            elif isinstance(value, Image.Image):  # as a JPEG, which TensorFlow's own is not
                value.save(file := io.BytesIO(), format="JPEG", quality=80)
                content = tf.constant([*map(str, value.size), file.getvalue()])
                tf.summary.write(name, content, step, create_summary_metadata(None, None))
            else:
                tf.summary.scalar(name, value, step=step)


def _cut(file: Path, start: int) -> None:
    """Takes the values from step ``start`` on out of a file."""
    batches = tf.data.TFRecordDataset(str(file)).ignore_errors().batch(4096)  # the end may be cut
    records = [record for batch in batches.as_numpy_iterator() for record in batch]
    events = map(Event.FromString, records)
    kept = [
        r for r, e in zip(records, events, strict=True) if not e.summary.value or e.step < start
    ]
    if len(kept) < len(records):
        with replacing(file) as aside, tf.io.TFRecordWriter(str(aside)) as writer:
            for record in kept:
                writer.write(record)
