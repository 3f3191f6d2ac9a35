"""Trained networks as small as tests can use, in the folders of their runs."""

from pathlib import Path

import numpy as np
import tf_keras as keras

from cmnas_tf.architecture import Architecture
from cmnas_tf.models.specification import Specification
from cmnas_tf.runs import checkpoints


def small() -> Specification:
    """Of what the fixture ``one_block`` leaves, where that is in force."""
    architecture = Architecture.separate_until("layer1", "resnet18")
    return Specification(architecture, 5, 32, 16, width_factor=1 / 16)


def random_state(specification: Specification, seed: int) -> dict[str, np.ndarray]:
    """Kernels as at the start; vectors of norms random, so that every branch is another one."""
    keras.utils.set_random_seed(seed)
    random, state = np.random.default_rng(seed), {}
    for name, variable in specification.build().get_weight_paths().items():
        state[name] = variable.numpy()
        if variable.shape.rank == 1:
            noise = 0.3 * random.standard_normal(variable.shape).astype(np.float32)
            positive = name.endswith(("gamma", "moving_variance"))
            state[name] = np.exp(noise) if positive else noise
    return state


def write_checkpoint(path: Path, specification: Specification, seed=0, **metadata) -> Path:
    """The average and the last step's weights differ."""
    tensors = {f"average/{k}": v for k, v in random_state(specification, seed).items()}
    tensors |= {f"network/{k}": v for k, v in random_state(specification, seed + 1).items()}
    metadata["specification"] = specification.to_json()
    checkpoints.write(path, 12, tensors, metadata)
    return path


def write_run(folder: Path, specification: Specification, seed=0, **metadata) -> Path:
    path = folder / "checkpoints" / "step-00000012.safetensors"
    write_checkpoint(path, specification, seed, **metadata)
    return folder


def write_search(folder: Path) -> Path:
    """A run that holds no trained network."""
    path = folder / "checkpoints" / "step-00000001.safetensors"
    checkpoints.write(path, 1, {"network/x": np.zeros(2, np.float32)}, {"settings": {}})
    return folder
