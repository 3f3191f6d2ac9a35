"""``python -m export.export_tflite`` is ``cmnas export_tflite``."""

from cmnas_tf.commands.cmnas import run

if __name__ == "__main__":
    run("export_tflite")
