"""A trained network as a model for TensorFlow Serving, and the proof that it is the same."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto

from cmnas_tf.data.index import Dataset
from cmnas_tf.data.layouts import LAYOUTS
from cmnas_tf.errors import BadInput
from cmnas_tf.extras import needing
from cmnas_tf.files import replacing, write_json, writing_by
from cmnas_tf.models.specification import Specification
from cmnas_tf.serving.accuracy_drop import MEASURED, Embed, accuracy_drop
from cmnas_tf.serving.build_gallery import gallery_of
from cmnas_tf.serving.encoder import embedding_function
from cmnas_tf.serving.exported_model import BESIDE, MODEL_NAME, WARMUP, ServedForm, versions_in
from cmnas_tf.serving.gallery import Gallery
from cmnas_tf.serving.model_card import model_card
from cmnas_tf.serving.parity import compare
from cmnas_tf.serving.serving_module import ServingModule
from cmnas_tf.serving.signatures import Signature
from cmnas_tf.training.trained import TrainedNetwork

with needing("serving"):
    from official.core import export_base
    from tensorflow_serving.apis.model_pb2 import ModelSpec
    from tensorflow_serving.apis.predict_pb2 import PredictRequest, PredictResponse
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog, PredictLog


def export_saved_model(
    model: TrainedNetwork,
    export_dir: str | os.PathLike[str],
    *,
    version: int = 0,
    form: ServedForm | None = None,
    gallery: Gallery | str | os.PathLike[str] | None = None,
    parity_tolerance: float = 1e-5,
    results: Mapping[str, Any] | None = None,
    dataset: Dataset | None = None,
    progress: bool = True,
) -> Path:
    """Writes a version of the model, after proving that it gives the network's embeddings.

    The folder ``export_dir/version`` holds the SavedModel, and in ``assets.extra`` the files
    ``architecture.json``, ``model_card.json``, ``parity.json``, requests that warm up a server, and
    ``measured.json`` where a data set is given. It is returned. It is written under a name that is
    no number, which a server passes over, and renamed when it is whole.

    Args:
      model: the trained network.
      export_dir: the folder of all versions, the one that a server watches.
      version: its number; 0: one more than the highest there is.
      form: how it computes.
      gallery: to identify people in: a gallery, its file, or a folder of images
        ``{visible,infrared}/cam<camera>/<id>/*``.
      parity_tolerance: largest difference from the network that an entry of an embedding of norm 1
        may have; 1,000 times as much in bfloat16 (our choice).
      results: what an evaluation of the model measured (``Scores.record``), for the model card; by
        default the ``results.json`` of its run. Those of another checkpoint are left out.
      dataset: on whose test images is measured what the exported model loses, by the data set's own
        protocol.
      progress: whether to show a bar while images are embedded.

    Raises:
      BadInput: the version exists, the gallery is of another network, an image of it or of the data
        set cannot be read, the network was loaded in another precision, or the exported model's
        embeddings differ from the network's by more than the tolerance.
    """
    destination = _destination(export_dir, version)
    specification = model.specification
    form = (form or ServedForm()).for_this_machine()
    precision, loaded_in = form.precision, model.network.compute_dtype
    if loaded_in != (needed := loaded_for(precision)):
        raise BadInput(
            f"precision={precision} is exported of a network in {needed}, and this one is in "
            f"{loaded_in}: load_network(run, precision={needed!r})."
        )
    if dataset is not None:
        model.check_trained_on(*set(dataset.test.modalities))
    tolerance = parity_tolerance * (1000 if precision == "bfloat16" else 1)
    searched = None if gallery is None else gallery_of(gallery, model, progress)
    module = ServingModule(model.network, specification, searched, form)
    signatures = module.signatures
    with replacing(destination) as folder:
        names = {name: name for name in signatures}
        with writing_by(tf.errors.OpError, destination):
            export_base.export(module, names, str(folder), timestamped=False)
        functions = tf.saved_model.load(str(folder)).signatures
        parity = compare(functions, model, signatures, searched)
        _require_parity(parity, tolerance)
        beside = folder / BESIDE
        beside.mkdir()
        specification.architecture.save(beside)
        card = model_card(model, module, results, searched)
        write_json(beside / "model_card.json", card)
        write_json(beside / "parity.json", {"tolerance": tolerance, **parity})
        if dataset is not None:
            write_json(beside / MEASURED, _measured(module, model, dataset, progress))
        with writing_by(tf.errors.OpError, destination):
            write_warmup(beside, specification, signatures, functions)
    return destination


def loaded_for(precision: str) -> str:
    """The precision that a network is loaded in, to be exported in another."""
    return "float16" if precision == "float16" else "float32"


def _measured(
    module: ServingModule, model: TrainedNetwork, dataset: Dataset, progress: bool
) -> dict[str, Any]:
    def of(modality: str) -> Embed:
        function = embedding_function(module.model, model.specification, modality)
        return lambda pixels: function(pixels)["embedding"]

    embed = {modality: of(modality) for modality in model.specification.modalities}
    return accuracy_drop(model, embed, dataset, LAYOUTS[dataset.layout].protocol(), progress)


def _destination(export_dir: str | os.PathLike[str], version: int) -> Path:
    base = Path(export_dir)
    if not os.fspath(export_dir) or base.is_file():
        raise BadInput(
            f"export_dir={os.fspath(export_dir)!r} is no folder; give the one that is to hold all "
            "versions of the model."
        )
    versions = versions_in(base)
    following = max(versions, default=0) + 1
    if version in versions:
        raise BadInput(
            f"version={version} is already in {base}, and a version is never replaced: servers may "
            f"be using it. Leave `version` out to write version {following}."
        )
    return base / str(version or following)


def _require_parity(parity: Mapping[str, Any], tolerance: float) -> None:
    cases = parity["cases"]
    failed = [case for case in cases if not case["max_abs_difference"] <= tolerance]
    if failed:
        raise BadInput(
            "Nothing was exported: the exported model differs from the trained network by up to "
            f"{parity['max_abs_difference']:.1e}, in {len(failed)} of {len(cases)} batches by more "
            f"than {tolerance:g} (first in signature {failed[0]['signature']}, "
            f"{failed[0]['images']} images). Allow more by "
            "`parity_tolerance`, only if you know the cause."
        )


def write_warmup(
    folder: Path,
    specification: Specification,
    signatures: Mapping[str, Signature],
    functions: Mapping[str, Callable[..., Mapping[str, tf.Tensor]]],
) -> None:
    """Writes requests that a server answers by itself before it takes a version into service.

    Without them the first caller of each signature waits for what a graph's first run costs. For
    every signature there is one with a single black image, and one with two; beside each is what
    ``functions`` answer, for who wants to compare.
    """
    shape = (specification.height, specification.width, 3)
    black = tf.io.encode_jpeg(np.zeros(shape, np.uint8)).numpy()
    with tf.io.TFRecordWriter(str(folder / WARMUP)) as file:
        for images in (1, 2):
            values = {
                "image_bytes": [black] * images,
                "pixels": np.zeros((images, *shape), np.uint8),
                "modality": np.resize(specification.modalities, images),
                "camera": [""] * images,
                "k": np.ones(images, np.int32),
            }
            for name, signature in signatures.items():
                given = {key: tf.constant(values[key]) for key in signature.inputs}
                spec = ModelSpec(name=MODEL_NAME, signature_name=name)
                request = PredictRequest(model_spec=spec, inputs=_protos(given))
                response = PredictResponse(outputs=_protos(functions[name](**given)))
                log = PredictionLog(predict_log=PredictLog(request=request, response=response))
                file.write(log.SerializeToString())


def _protos(tensors: Mapping[str, tf.Tensor]) -> dict[str, TensorProto]:
    return {name: tf.make_tensor_proto(tensor) for name, tensor in tensors.items()}
