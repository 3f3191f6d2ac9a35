"""What an exported model says of itself: its interface, its origin, and how good it was."""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import tensorflow as tf

from cmnas_tf.evaluation.results_file import results_files
from cmnas_tf.reading import read_json
from cmnas_tf.runs.provenance import versions
from cmnas_tf.serving.build_gallery import network_digest
from cmnas_tf.serving.gallery import Gallery
from cmnas_tf.serving.serving_module import ServingModule
from cmnas_tf.serving.signatures import INPUTS
from cmnas_tf.training.trained import TrainedNetwork

_RESULTS = {"checkpoint": {"sha256": str, "weights": str}}
_ADVICE = "Evaluate that checkpoint again."


def model_card(
    model: TrainedNetwork,
    module: ServingModule,
    results: Mapping[str, Any] | None = None,
    gallery: Gallery | None = None,
) -> dict[str, Any]:
    """Everything a user of the exported model may ask; JSON-ready.

    Args:
      model: the network that is exported.
      module: what is exported of it.
      results: what an evaluation measured; by default what the model's run holds. Results of
        another checkpoint are not this model's and are left out (None).
      gallery: that the model searches in.
    """
    specification, checkpoint = model.specification, model.checkpoint
    network = specification.to_json()
    architecture = network.pop("architecture")  # a file of its own
    classifier = {id(variable) for variable in model.network.head.classifier.weights}
    used = [v for v in model.network.trainable_variables if id(v) not in classifier]
    return {
        "network": {
            "backbone": architecture["backbone"],
            **network,
            "embedding_size": module.model.size,
            "parameters": sum(math.prod(variable.shape) for variable in used),
            "computed_in": module.form.precision,
            "sha256": network_digest(model),
        },
        "served": {
            "folded": module.model.folded,
            "frozen": not module.model.weights,
            "images": module.form.batch_images,
            "wait_ms": module.form.batch_wait_ms,
            "max_images": module.form.max_images,
            "max_pixels": module.form.max_pixels,
        },
        "signatures": {
            name: {
                "modality": signature.modality or "of each image",
                "inputs": [_tensor(INPUTS[given]) for given in signature.inputs],
                "outputs": [_tensor(spec) for spec in module.outputs(signature)],
            }
            for name, signature in module.signatures.items()
        },
        "gallery": None if gallery is None else _gallery(gallery),
        "checkpoint": {
            "file": checkpoint.path.name,
            "step": checkpoint.step,
            "sha256": checkpoint.digest,
            "weights": model.weights,
        },
        "training": checkpoint.metadata.get("settings", {}),
        "results": _results(model, results),
        "versions": {
            "training": checkpoint.metadata.get("versions", {}),
            "export": versions(),
        },
    }


def _results(model: TrainedNetwork, given: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Those of the model's own weights, rather by the data set's own protocol."""
    read = partial(read_json, form=_RESULTS, what="a results file", advice=_ADVICE)
    for found in [given] if given else map(read, reversed(results_files(model.run))):
        measured = found["checkpoint"]
        if (measured["sha256"], measured["weights"]) == (model.checkpoint.digest, model.weights):
            return {key: found[key] for key in ("dataset", "protocol", "results", "chance")}
    return None


def _gallery(gallery: Gallery) -> dict[str, Any]:
    return {
        "entries": len(gallery),
        "ids": len(set(gallery.ids)),
        "cameras": sorted(map(str, set(gallery.cameras))),
    }


def _tensor(spec: tf.TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "dtype": spec.dtype.name, "shape": spec.shape.as_list()}
