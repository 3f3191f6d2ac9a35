"""A graph written for other runtimes, and what it computes there."""

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

_OPSET = 17


def to_tflite(numbers: str, function: Any, images: np.ndarray, file: Path) -> Any:
    """Writes a TFLite file.

    Args:
      numbers: ``"float16"`` or ``"int8"``; the embedding is float32 in any case.
      function: of one image.
      images: [n, height, width, 3] uint8, of whose features the ranges are taken (int8).
      file: to write.

    Returns:
      What the file computes, by TFLite's interpreter.
    """
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if numbers == "float16":
        converter.target_spec.supported_types = [tf.float16]
    else:
        converter.representative_dataset = lambda: ([image[None]] for image in images)
    file.write_bytes(converter.convert())

    interpreter = tf.lite.Interpreter(str(file))
    interpreter.allocate_tensors()
    (given,), (found,) = interpreter.get_input_details(), interpreter.get_output_details()

    def embed_one(pixels: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(given["index"], pixels)
        interpreter.invoke()
        return interpreter.get_tensor(found["index"])

    return embed_one


def to_onnx(function: Any, images: np.ndarray, file: Path) -> Any:
    """Writes an ONNX file.

    Args:
      function: of one image.
      images: not used: no ranges are learned.
      file: to write.

    Returns:
      What the file computes, by ONNX Runtime.
    """
    import onnxruntime
    import tf2onnx

    tf2onnx.convert.from_function(
        function, input_signature=function.input_signature, opset=_OPSET, output_path=str(file)
    )
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    return lambda pixels: session.run(None, {given.name: pixels})[0]
