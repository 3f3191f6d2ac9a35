"""``python -m export.export_tflite``: a trained network for phones and small boards.

``float16`` halves the file; ``int8`` quarters it and computes in whole numbers, whose ranges are
learned from training images. What that costs is measured and printed.
"""

from cmnas_tf import command_line, settings


def main(options: settings.ExportTflite) -> None:
    """Exports, and says what was lost."""
    from functools import partial

    from cmnas_tf.serving.conversions import to_tflite
    from cmnas_tf.serving.converted import convert_and_measure, summary

    measured = convert_and_measure(options, partial(to_tflite, options.form.numbers), ".tflite")
    print(f"written to {options.target.export_dir}\n{summary(measured)}")


if __name__ == "__main__":
    command_line.run(main, settings.ExportTflite)
