"""``cmnas export_openvino``: a trained network for OpenVINO."""

from dataclasses import dataclass

from cmnas_tf.commands.export_onnx import ExportOnnx, convert


@dataclass(frozen=True, kw_only=True)
class ExportOpenvino(ExportOnnx):
    """Converts a trained network to OpenVINO, and measures what that costs.

    OpenVINO computes in bfloat16 on processors that have it; what this loses here is measured.
    """


def main(command: ExportOpenvino) -> None:
    """Converts, and says what was lost."""
    convert(command, "openvino")
