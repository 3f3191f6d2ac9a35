"""Visible images to embeddings: the exported all-separate ResNet-50, and the same network in Keras
and in other runtimes."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import tensorflow as tf
from official.core import export_base

from benchmarks import batch
from benchmarks.worker import Unavailable
from cmnas_tf.architecture import Architecture
from cmnas_tf.data.augment import normalize
from cmnas_tf.devices.frozen_weights import ASSUMED
from cmnas_tf.modality import VISIBLE
from cmnas_tf.models import ReidNetwork
from cmnas_tf.models.specification import Specification
from cmnas_tf.serving.conversion import to_onnx, to_openvino
from cmnas_tf.serving.encoder import Encoder, embedding_function
from cmnas_tf.serving.exported_model import ServedForm
from cmnas_tf.serving.serving_module import ServingModule

MANY = 32  # images
_ON_CPU = ["CPUExecutionProvider"]


def exported(
    images: str = "1",
    calls: str = "1",
    precision: str = "float32",
    frozen: str = "",
    served: str = "",
) -> Callable[[], None]:
    """From pixels, weights as variables, or as constants if ``frozen``; ``served``: as our command
    lines for servers have it."""
    os.environ |= {ASSUMED: "1"} if served else {}
    name = f"embed_{VISIBLE}_pixels"
    loaded, pixels = _exported(precision, frozen, [name]), tf.constant(_pixels(int(images)))
    return _repeated(calls, lambda: loaded[name](pixels=pixels)["embedding"].numpy())


def every_signature(
    precision: str = "float32", frozen: str = "", served: str = ""
) -> Callable[[], None]:
    """One image and many, through each signature: how much memory takes a version in use?"""
    os.environ |= {ASSUMED: "1"} if served else {}
    loaded = _exported(precision, frozen, [])
    files = [tf.io.encode_jpeg(pixels).numpy() for pixels in _pixels(MANY)]

    def run() -> None:
        for signature in loaded.values():
            for count in (1, MANY):
                values = {"pixels": _pixels(count), "image_bytes": files[:count]}
                values["modality"] = [VISIBLE] * count
                wanted = signature.structured_input_signature[1]
                signature(**{name: tf.constant(values[name]) for name in wanted})

    return run


def keras() -> Callable[[], None]:
    """``predict`` of one normalised image, ten times."""
    network, images = _network()[1], {VISIBLE: normalize(_pixels(1)).numpy()}
    return _repeated("10", lambda: network.predict(images, verbose=0))


def openvino(images: str = "1", calls: str = "1", precision: str = "float32") -> Callable[[], None]:
    """As ``cmnas export_openvino`` converts it."""
    try:
        import openvino
    except ImportError as error:
        raise Unavailable("OpenVINO is not installed: pip install openvino") from error
    hint = {"INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision]}
    with _written_by("_write_openvino") as folder:
        compiled = openvino.Core().compile_model(f"{folder}/model.xml", "CPU", hint)
    pixels = _pixels(int(images))
    return _repeated(calls, lambda: compiled(pixels))


def onnxruntime(
    images: str = "1", calls: str = "1", precision: str = "float32"
) -> Callable[[], None]:
    """As ``cmnas export_onnx`` converts it, but for any number of images; in float32 alone."""
    try:
        import onnxruntime
        import tf2onnx  # noqa: F401
    except ImportError as error:
        raise Unavailable("pip install --no-deps -r requirements-optional.txt") from error
    with _written_by("_write_onnx") as folder:
        session = onnxruntime.InferenceSession(f"{folder}/model.onnx", providers=_ON_CPU)
    given = {session.get_inputs()[0].name: _pixels(int(images))}
    return _repeated(calls, lambda: session.run(None, given))


def _repeated(calls: str, once: Callable[[], Any]) -> Callable[[], None]:
    def run() -> None:
        for _ in range(int(calls)):
            once()

    return run


def _exported(precision: str, frozen: str, signatures: list[str]) -> Any:
    with _written_by("_write_saved_model", precision, frozen, *signatures) as folder:
        return tf.saved_model.load(folder).signatures


@contextmanager
def _written_by(function: str, *words: str) -> Iterator[str]:
    """A folder that a function of this module wrote to, in a process of its own: what that takes
    of memory is not a server's."""
    with TemporaryDirectory(prefix="cmnas_tf_benchmark_") as folder:
        command = [sys.executable, "-m", "benchmarks.embedding", function, folder, *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        yield folder


def _write_saved_model(folder: str, precision: str, frozen: str, *signatures: str) -> None:
    specification, network = _network()
    form = ServedForm(precision=precision, frozen=bool(frozen), signatures=signatures)
    module = ServingModule(network, specification, form=form)
    names = {name: name for name in module.signatures}
    export_base.export(module, names, folder, timestamped=False)


def _write_openvino(folder: str) -> None:
    to_openvino(_function(), Path(folder, "model.xml"))


def _write_onnx(folder: str) -> None:
    to_onnx(_function(), Path(folder, "model.onnx"))


def _function() -> Any:
    specification, network = _network()
    encoder = Encoder(network, specification, frozen=True)
    return embedding_function(encoder, specification, VISIBLE)


def _network() -> tuple[Specification, ReidNetwork]:
    """With norms as a training leaves them: a bias of zeros would be left out of the graph."""
    specification = Specification(
        Architecture.separate(batch.BACKBONE), batch.CLASSES, batch.HEIGHT, batch.WIDTH, 1, 1.0
    )
    network, random = specification.build(), np.random.default_rng(0)
    for variable in network.variables:
        if variable.shape.rank == 1:
            variable.assign(random.uniform(0.5, 1.5, variable.shape))
    return specification, network


def _pixels(images: int) -> np.ndarray:
    shape = (images, batch.HEIGHT, batch.WIDTH, 3)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
