"""What an exported model says of itself: its interface, its origin, and how good it was."""

import json
import math
from pathlib import Path
from typing import Any

import tensorflow as tf

from cmnas_tf.runs.provenance import versions
from cmnas_tf.serving.gallery import Gallery
from cmnas_tf.serving.gallery_images import network_digest
from cmnas_tf.serving.serving_module import INPUTS, ServingModule
from cmnas_tf.training.trained import Trained


def model_card(
    trained: Trained, module: ServingModule, run_dir: str, gallery: Gallery | None = None
) -> dict[str, Any]:
    """Everything a user of the exported model may ask; JSON-ready.

    Args:
      trained: the network that is exported.
      module: what is exported of it.
      run_dir: folder with the ``results.json`` of an evaluation; the checkpoint's own when empty.
        Results of another checkpoint are not this model's and are left out (None).
      gallery: that the model searches in.
    """
    specification, checkpoint = trained.specification, trained.checkpoint
    network = specification.to_json()
    architecture = network.pop("architecture")  # a file of its own
    body, neck = trained.network.backbone, trained.network.head.neck
    used = (*body.trainable_variables, *neck.trainable_variables)
    return {
        "network": {
            "backbone": architecture["backbone"],
            **network,
            "embedding_size": module.model.size,
            "parameters": sum(math.prod(variable.shape) for variable in used),
            "computed_in": trained.network.compute_dtype,
            "sha256": network_digest(trained),
        },
        "served": {
            "folded": module.model.folded,
            "frozen": not module.model.weights,
            **module.batching._asdict(),
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
            "weights": trained.weights,
        },
        "training": checkpoint.metadata.get("settings", {}),
        "results": _results(trained, Path(run_dir or checkpoint.path.parent) / "results.json"),
        "versions": {
            "training": checkpoint.metadata.get("versions", {}),
            "export": versions(),
        },
    }


def _results(trained: Trained, path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    found = json.loads(path.read_text())
    measured = (found["checkpoint"]["sha256"], found["checkpoint"]["weights"])
    if measured != (trained.checkpoint.digest, trained.weights):
        return None
    return {key: found[key] for key in ("dataset", "protocol", "results", "chance")}


def _gallery(gallery: Gallery) -> dict[str, Any]:
    return {
        "entries": len(gallery),
        "ids": len(set(gallery.ids)),
        "cameras": sorted(map(str, set(gallery.cameras))),
    }


def _tensor(spec: tf.TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "dtype": spec.dtype.name, "shape": spec.shape.as_list()}
