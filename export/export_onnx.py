"""``python -m export.export_onnx`` is ``cmnas export_onnx``."""

from cmnas_tf.__main__ import run

if __name__ == "__main__":
    run("export_onnx")
