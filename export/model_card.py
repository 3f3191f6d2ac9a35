"""What an exported model says of itself: its interface, its origin, and how good it was."""

import json
import math
from pathlib import Path
from typing import Any

import tensorflow as tf

from cmnas_tf.training.provenance import versions
from cmnas_tf.training.trained import Trained
from export.serving_module import EMBEDDING, INPUTS, SIGNATURES, ServingModule


def model_card(trained: Trained, module: ServingModule, run_dir: str) -> dict[str, Any]:
    """Everything a user of the exported model may ask; JSON-ready.

    Args:
      trained: the network that is exported.
      module: what is exported of it.
      run_dir: folder with the ``results.json`` of an evaluation; the checkpoint's own when empty.
        Results of another checkpoint are not this model's and are left out (None).
    """
    specification, checkpoint = trained.specification, trained.checkpoint
    network = specification.to_json()
    architecture = network.pop("architecture")  # a file of its own
    size = trained.network.head.classifier.kernel.shape[0]
    parameters = sum(math.prod(variable.shape) for variable in module.trainable_variables)
    return {
        "network": {
            "backbone": architecture["backbone"],
            **network,
            "embedding_size": size,
            "parameters": parameters,
            "computed_in": trained.network.compute_dtype,
        },
        "signatures": {
            name: {
                "modality": signature.modality,
                "input": _tensor(INPUTS[signature.form]),
                "output": _tensor(tf.TensorSpec([None, size], tf.float32, EMBEDDING)),
            }
            for name, signature in SIGNATURES.items()
        },
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


def _tensor(spec: tf.TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "dtype": spec.dtype.name, "shape": spec.shape.as_list()}
