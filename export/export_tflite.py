"""``python -m export.export_tflite`` is ``cmnas export_tflite``."""

from cmnas_tf.__main__ import run

if __name__ == "__main__":
    run("export_tflite")
