"""``python -m export.export_onnx``: a trained network as ONNX; needs tf2onnx and onnxruntime."""

from cmnas_tf import command_line, settings
from cmnas_tf.errors import BadInput

# tf2onnx asks for protobuf 3.20, and works with the one that TensorFlow has; hence --no-deps.
INSTALL = "pip install --no-deps tf2onnx==1.16.1 onnx==1.16.2 onnxruntime==1.19.2"


def main(options: settings.ExportOnnx) -> None:
    """Exports, and says what was lost."""
    from cmnas_tf.serving.conversions import to_onnx
    from cmnas_tf.serving.converted import convert_and_measure, summary

    try:
        import onnxruntime  # noqa: F401
        import tf2onnx  # noqa: F401
    except ImportError as error:
        raise BadInput(f"{error}. Install it: {INSTALL}") from error
    measured = convert_and_measure(options, to_onnx, ".onnx")
    print(f"written to {options.target.export_dir}\n{summary(measured)}")


if __name__ == "__main__":
    command_line.run(main, settings.ExportOnnx)
