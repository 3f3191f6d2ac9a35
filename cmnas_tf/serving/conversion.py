"""A trained network in another runtime's format, and what it lost on the way."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from cmnas_tf.data.index import Dataset, Images
from cmnas_tf.data.layouts import LAYOUTS
from cmnas_tf.data.pipeline import naming_unreadable
from cmnas_tf.data.protocols import Protocol
from cmnas_tf.errors import BadInput
from cmnas_tf.extras import needing
from cmnas_tf.files import new_path, replacing, write_json
from cmnas_tf.options import described
from cmnas_tf.retrieval.measure import measure
from cmnas_tf.serving.encoder import Encoder
from cmnas_tf.training.trained import TrainedNetwork

# One image [1, height, width, 3] uint8 -> its embedding [1, D] float32.
Embed = Callable[[np.ndarray], np.ndarray]

FORMATS = ("onnx", "tflite_float16", "tflite_int8")

_BATCH = 32
_OPSET = 17  # of ONNX


@dataclass(frozen=True)
class Conversion:
    """What a conversion wrote and measured; prints as a few lines."""

    # With ``visible.*`` and ``infrared.*``, ``architecture.json`` and ``measured.json``.
    folder: Path
    # The content of ``measured.json``: ``before`` and ``after``, by setting of the protocol; the
    # cosine between the embeddings before and after, ``mean`` and ``smallest``; ``bytes`` by file.
    measured: Mapping[str, Any]

    def __str__(self) -> str:
        lines = [f"{name}: {size / 1e6:.2f} MB" for name, size in self.measured["bytes"].items()]
        cosine = self.measured["cosine"]
        lines.append(
            f"cosine to the network's embeddings: {cosine['mean']:.6f} on average, smallest "
            f"{cosine['smallest']:.6f}"
        )
        for setting, after in self.measured["after"].items():
            before = self.measured["before"][setting]
            changes = [
                f"{word} {100 * before[name]:.2f} -> {100 * after[name]:.2f}"
                for word, name in (("Rank-1", "rank1"), ("mAP", "mAP"))
            ]
            lines.append(f"{setting}: {', '.join(changes)}")
        return "\n".join(lines)


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
    embedding of norm 1, [1, D] float32.

    Args:
      model: the trained network.
      export_dir: folder to write; it must not exist.
      dataset: its test images are measured on, and int8's ranges are taken from its training
        images.
      format: ``"onnx"``; ``"tflite_float16"``: weights of half the size; ``"tflite_int8"``: whole
        numbers for weights and features.
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
        after = np.empty((len(dataset.test), model.embedding_size), np.float32)
        for modality in specification.modalities:
            function, file = _of_one_image(encoder, model, modality), aside / modality
            if format == "onnx":
                embed_one = _to_onnx(function, file.with_suffix(".onnx"))
            else:
                known = None
                if format == "tflite_int8":
                    known = _pixels(model, dataset, dataset.train, modality, calibration_images)
                embed_one = _to_tflite(function, file.with_suffix(".tflite"), known)
            rows = np.flatnonzero(dataset.test.modalities == modality)
            images = _pixels(model, dataset, dataset.test, modality)
            for row, pixels in zip(rows, images, strict=True):
                after[row] = embed_one(pixels)
        before = model.embed_dataset(dataset, _BATCH)
        # In eight bits a converted embedding's norm is only about 1.
        cosines = np.sum(before * after, axis=1) / np.linalg.norm(after, axis=1)
        measured = {
            "protocol": described([protocol]),
            "before": {m.setting: m.values for m in measure(before, dataset, protocol)},
            "after": {m.setting: m.values for m in measure(after, dataset, protocol)},
            "cosine": {"mean": float(cosines.mean()), "smallest": float(np.min(cosines))},
            "bytes": {file.name: file.stat().st_size for file in sorted(aside.iterdir())},
        }
        specification.architecture.save(aside)
        write_json(aside / "measured.json", measured)
    return Conversion(folder, measured)


def _of_one_image(encoder: Encoder, model: TrainedNetwork, modality: str) -> Any:
    """From one image to its embedding, as a function of the fixed shape that converters want."""
    size = model.specification
    spec = tf.TensorSpec([1, size.height, size.width, 3], tf.uint8, "pixels")

    @tf.function(autograph=False, input_signature=[spec])
    def embed_one(pixels):
        return {"embedding": encoder.embed(pixels, modality)}

    return embed_one


def _to_onnx(function: Any, file: Path) -> Embed:
    """Writes a function as ONNX; gives what the file computes, by ONNX Runtime."""
    with needing("onnx"):
        import onnxruntime
        import tf2onnx

    tf2onnx.convert.from_function(
        function, input_signature=function.input_signature, opset=_OPSET, output_path=str(file)
    )
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    return lambda pixels: session.run(None, {given.name: pixels})[0]


def _to_tflite(function: Any, file: Path, known: list[np.ndarray] | None) -> Embed:
    """Writes a function as TFLite; gives what the file computes, by TFLite's interpreter.

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

    return embed_one


def _pixels(
    model: TrainedNetwork, dataset: Dataset, images: Images, modality: str, most: int | None = None
) -> list[np.ndarray]:
    """Images of a modality, [1, height, width, 3] uint8 each, evenly over the table."""
    part = images.of_modality(modality)
    if most is not None:
        part = part[np.unique(np.linspace(0, len(part) - 1, most).astype(int))]
    source = model.source(part, Path(dataset.root))
    read = source.reader()
    with naming_unreadable(source):
        return [read(tf.constant(row)).numpy()[None] for row in range(len(part))]
