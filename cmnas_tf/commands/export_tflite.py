"""``cmnas export_tflite``: a trained network for phones and small boards."""

from dataclasses import dataclass

from cmnas_tf.commands.export_onnx import ExportOnnx, convert
from cmnas_tf.options import advanced, option


@dataclass(frozen=True, kw_only=True)
class ExportTflite(ExportOnnx):
    """Converts a trained network to TFLite, for phones and small boards; measures what that costs.

    float16 halves the file; int8 quarters it and computes in whole numbers.
    """

    numbers: str = option(
        "float16",
        "float16: weights of half the size; int8: whole numbers for weights and features, a "
        "quarter of the size, whose ranges are taken from training images.",
        choices=("float16", "int8"),
    )
    calibration_images: int = advanced(
        200, "Training images of each modality that the ranges of int8 are taken from.", minimum=1
    )


def main(command: ExportTflite) -> None:
    """Converts, and says what was lost."""
    convert(command, f"tflite_{command.numbers}", calibration_images=command.calibration_images)
