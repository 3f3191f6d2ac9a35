"""A trained network's weights for the authors' PyTorch programs."""

import os
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from cmnas_tf.architecture import plan_of
from cmnas_tf.errors import BadInput
from cmnas_tf.files import new_path, replacing, write_text
from cmnas_tf.network_parts import PLAIN
from cmnas_tf.training.trained import TrainedNetwork
from cmnas_tf.weights.torch_names import full_state

WEIGHTS = "weights.safetensors"
CONFIG = "config.cfg"


def export_torch(
    model: TrainedNetwork, export_dir: str | os.PathLike[str], module_prefix: bool = False
) -> Path:
    """Writes a folder of a network's weights with the authors' names, whole or not at all.

    It is returned, and holds ``weights.safetensors``, with every key of their network, and
    ``config.cfg``, their line of integers. Read back with ``import_weights`` it is the same
    network, bit for bit.

    Args:
      model: the trained network.
      export_dir: folder to write; it must not exist.
      module_prefix: whether every name begins with ``module.``, as their programs load and save
        them.

    Raises:
      BadInput: the folder exists, or their programs have no such network.
    """
    folder, architecture = new_path(export_dir, "export_dir"), model.specification.architecture
    if not plan_of(architecture.backbone).has_torch_names:
        raise BadInput(
            f"{model.checkpoint.path} holds {architecture.backbone}, and the authors' PyTorch code "
            "has ResNets only. Export it with `export_saved_model`."
        )
    if (parts := model.specification.parts) != PLAIN:
        raise BadInput(
            f"{model.checkpoint.path} holds a network with {parts.values()}, and the authors' "
            "PyTorch code has none of these. Export it with `export_saved_model`."
        )
    prefix = "module." if module_prefix else ""
    # C order, because safetensors writes an array's memory as it lies.
    state = {
        f"{prefix}{name}": np.asarray(array, order="C")
        for name, array in full_state(model.network).items()
    }
    with replacing(folder) as aside:
        aside.mkdir()
        (aside / WEIGHTS).write_bytes(save(state))
        write_text(aside / CONFIG, architecture.to_cfg() + "\n")
    return folder
