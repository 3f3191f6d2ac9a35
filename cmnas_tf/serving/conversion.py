"""A trained network in another runtime's format, and what it lost on the way."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from cmnas_tf.data.index import Dataset
from cmnas_tf.data.layouts import LAYOUTS
from cmnas_tf.data.protocols import Protocol
from cmnas_tf.errors import BadInput
from cmnas_tf.extras import needing
from cmnas_tf.files import new_path, replacing, write_json
from cmnas_tf.models.precision import warn_of_bfloat16
from cmnas_tf.serving.accuracy_drop import MEASURED, Embed, accuracy_drop, lines, pixels_of
from cmnas_tf.serving.encoder import Encoder, embedding_function
from cmnas_tf.training.trained import TrainedNetwork

FORMATS = ("onnx", "openvino", "tflite_float16", "tflite_int8")

_OPSET = 17  # of ONNX
_TYPES = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}  # as OpenVINO calls them


@dataclass(frozen=True)
class Conversion:
    """What a conversion wrote and measured; prints as a few lines."""

    # With ``visible.*`` and ``infrared.*``, ``architecture.json`` and ``measured.json``.
    folder: Path
    # The content of ``measured.json``: that of ``accuracy_drop``, ``bytes`` by file, and
    # ``computed_in``, the numbers in which the runtime computes on this machine.
    measured: Mapping[str, Any]

    def __str__(self) -> str:
        sizes = [f"{name}: {size / 1e6:.2f} MB" for name, size in self.measured["bytes"].items()]
        computed_in = f"computed here in {self.measured['computed_in']}"
        return "\n".join([*sizes, computed_in, *lines(self.measured)])


def convert_network(
    model: TrainedNetwork,
    export_dir: str | os.PathLike[str],
    dataset: Dataset,
    format: str,
    *,
    protocol: Protocol | None = None,
    calibration_images: int = 200,
) -> Conversion:
    """Writes a file for each modality, and measures them by a data set's test protocol.

    A file takes one image of the network's input size, [1, height, width, 3] uint8, and gives its
    embedding of norm 1, [1, D] float32. OpenVINO's takes any number of images.

    Args:
      model: the trained network.
      export_dir: folder to write; it must not exist.
      dataset: its test images are measured on, and int8's ranges are taken from its training
        images.
      format: ``"onnx"``; ``"openvino"``: ``modality.xml`` and ``modality.bin``, which computes in
        bfloat16 on processors that have it, unless ``INFERENCE_PRECISION_HINT`` says otherwise;
        ``"tflite_float16"``: weights of half the size; ``"tflite_int8"``: whole numbers for weights
        and features.
      protocol: who asks and who answers; the data set's own with its default options.
      calibration_images: of each modality, that int8's ranges are taken from.

    Raises:
      BadInput: the folder exists, there is no such format, or its packages are not installed; an
        image cannot be read, or is of a modality that the network was not trained on.
    """
    folder, specification = new_path(export_dir, "export_dir"), model.specification
    if format not in FORMATS:
        raise BadInput(f"format={format!r} is not allowed; it must be one of {', '.join(FORMATS)}.")
    model.check_trained_on(*set(dataset.test.modalities))
    protocol = protocol or LAYOUTS[dataset.layout].protocol()
    encoder = Encoder(model.network, specification, frozen=True)
    with replacing(folder) as aside:
        aside.mkdir()
        embed: dict[str, Embed] = {}
        for modality in specification.modalities:
            fixed = format != "openvino"  # what the other converters want
            function = embedding_function(encoder, specification, modality, one=fixed)
            file = aside / modality
            if format == "onnx":
                embed[modality], computed_in = to_onnx(function, file.with_suffix(".onnx"))
            elif format == "openvino":
                embed[modality], computed_in = to_openvino(function, file.with_suffix(".xml"))
            else:
                known = None
                if format == "tflite_int8":
                    images = pixels_of(model, dataset, dataset.train, modality, calibration_images)
                    known = list(images)
                tflite = file.with_suffix(".tflite")
                embed[modality], computed_in = _to_tflite(function, tflite, known)
        measured = accuracy_drop(model, embed, dataset, protocol)
        measured["bytes"] = {file.name: file.stat().st_size for file in sorted(aside.iterdir())}
        measured["computed_in"] = computed_in
        specification.architecture.save(aside)
        write_json(aside / MEASURED, measured)
    return Conversion(folder, measured)


def to_onnx(function: Any, file: Path) -> tuple[Embed, str]:
    """Writes a function as ONNX; gives what the file computes, by ONNX Runtime, and in what."""
    with needing("onnx"):
        import onnxruntime
        import tf2onnx

    tf2onnx.convert.from_function(
        function, input_signature=function.input_signature, opset=_OPSET, output_path=str(file)
    )
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    return lambda pixels: session.run(None, {given.name: pixels})[0], "float32"


def to_openvino(function: Any, file: Path) -> tuple[Embed, str]:
    """Writes a function for OpenVINO; gives what the file computes by default, and in what."""
    with needing("openvino"):
        import openvino

    model = openvino.convert_model(function.get_concrete_function())
    try:
        openvino.save_model(model, file, compress_to_fp16=False)
    except RuntimeError as error:
        file.write_bytes(bytes(2**20))  # says why not, which OpenVINO leaves out
        raise OSError(f"Cannot write {file}: {error}") from error
    compiled = openvino.Core().compile_model(file, "CPU")
    computed_in = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    if computed_in == "bf16":
        warn_of_bfloat16()
    return lambda pixels: compiled(pixels)[0], _TYPES.get(computed_in, computed_in)


def _to_tflite(function: Any, file: Path, known: list[np.ndarray] | None) -> tuple[Embed, str]:
    """Writes a function as TFLite; gives what the file computes, by TFLite's interpreter, and in
    what.

    Features of the ``known`` images give the ranges for whole numbers; without any it is float16.
    The embedding is float32 in any case.
    """
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if known is None:
        converter.target_spec.supported_types = [tf.float16]
    else:
        converter.representative_dataset = lambda: ([image] for image in known)
    file.write_bytes(converter.convert())

    interpreter = tf.lite.Interpreter(str(file))
    interpreter.allocate_tensors()
    (given,), (found,) = interpreter.get_input_details(), interpreter.get_output_details()

    def embed_one(pixels: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(given["index"], pixels)
        interpreter.invoke()
        return interpreter.get_tensor(found["index"])

    return embed_one, "float32" if known is None else "int8"
