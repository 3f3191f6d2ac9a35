"""PyTorch's names and layouts of the two-stream network's weights, as the authors save them.

``backbone.conv1.weight``, ``backbone.layer1.0.bn1.{visible_bn,thermal_bn,sharable_bn}.weight``,
``backbone.layer1.0.downsample.conv.weight``, ``bnneck.weight``, ``classifier.weight``, ...; here
the same objects have nearly the same paths, so the mapping is word for word. A *state* is what
PyTorch calls a state dict, ``{torch name: array in torch layout}``.
"""

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from cmnas_tf.architecture import BACKBONES, ResNetPlan

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras as keras

BRANCHES = {"visible": "visible_bn", "infrared": "thermal_bn", "shared": "sharable_bn"}
COUNTER = "num_batches_tracked"
# What PyTorch keeps of a batch norm, and fills a new one with.
FRESH_NORM = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0}

_PARAMETERS = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "bias": "bias",
    "power": "p",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
_HEAD = {"head.neck": "bnneck", "head.classifier": "classifier"}
# Axes by rank; None, for any other rank, would reverse them, which leaves a vector as it is.
_TO_TENSORFLOW = {4: (2, 3, 1, 0), 2: (1, 0)}
_TO_TORCH = {4: (3, 2, 0, 1), 2: (1, 0)}


def torch_variables(model: "keras.Model") -> "dict[str, tf.Variable]":
    """``{torch name: variable}`` of a two-stream network, or of a supernet without its logits."""
    return _renamed(model.get_weight_paths())


def torch_arrays(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The state that a network with ``{Keras path: array}`` has in PyTorch; no logits."""
    return {name: to_torch(array) for name, array in _renamed(arrays).items()}


def full_state(model: "keras.Model") -> dict[str, np.ndarray]:
    """The state of a two-stream network with every key that the authors' network has.

    Theirs holds three batch norms at every site. Those that the architecture does not use are
    PyTorch's fresh ones here, and every ``num_batches_tracked``, which nothing computes with, is 0.
    """
    variables = model.get_weight_paths()
    state = torch_arrays({path: variable.numpy() for path, variable in variables.items()})
    for norm in norms_of(state):
        site, _, branch = norm.rpartition(".")
        channels = state[f"{norm}.weight"].shape
        known = BRANCHES.values()
        for owner in [f"{site}.{name}" for name in known] if branch in known else [norm]:
            for parameter, value in FRESH_NORM.items():
                state.setdefault(f"{owner}.{parameter}", np.full(channels, value, np.float32))
            state[f"{owner}.{COUNTER}"] = np.zeros((), np.int64)
    return state


def without_prefix(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """``state`` without the ``module.`` that PyTorch's DataParallel puts before every name."""
    return {name.removeprefix("module."): array for name, array in state.items()}


def norms_of(names: Iterable[str]) -> list[str]:
    """The batch norms among the owners of torch ``names``."""
    owners = (name.rpartition(".") for name in names)
    return [owner for owner, _, parameter in owners if parameter == "running_var"]


def is_torchvision(state: Mapping[str, np.ndarray]) -> bool:
    """Whether these are torchvision's names of a ResNet, as in ImageNet weight files."""
    return "conv1.weight" in state


def from_torchvision(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Torchvision's names of a ResNet turned into the authors', with a shared norm at every site.

    Its classifier keeps its name, ``fc``: the two-stream network has none like it.
    """
    shared, found = BRANCHES["shared"], {}
    for name, array in state.items():
        owner, _, parameter = name.rpartition(".")
        owner = re.sub(r"\bdownsample\.0$", "downsample.conv", owner)
        owner = re.sub(r"\bdownsample\.1$", f"downsample.bn.{shared}", owner)
        owner = re.sub(r"\b(bn\d)$", rf"\1.{shared}", owner)
        found[name if owner == "fc" else f"backbone.{owner}.{parameter}"] = array
    return found


def backbone_of(names: Iterable[str]) -> str | None:
    """The ResNet that has these blocks, by torch ``names``; None when there is none."""
    found = [re.match(r"backbone\.layer(\d+)\.(\d+)\.conv(\d)", name) for name in names]
    blocks = {match.group(1, 2) for match in found if match}
    depths = tuple(sum(stage == str(number) for stage, _ in blocks) for number in range(1, 5))
    bottleneck = any(match and match.group(3) == "3" for match in found)
    wanted = ResNetPlan(depths, bottleneck)  # type: ignore[arg-type]
    return next((name for name, plan in BACKBONES.items() if plan == wanted), None)


def to_tensorflow(array: np.ndarray) -> np.ndarray:
    """From torch's layout to TensorFlow's: OIHW -> HWIO, [out, in] -> [in, out]."""
    return array.transpose(_TO_TENSORFLOW.get(array.ndim))


def to_torch(array: np.ndarray) -> np.ndarray:
    """From TensorFlow's layout to torch's: HWIO -> OIHW, [in, out] -> [out, in]."""
    return array.transpose(_TO_TORCH.get(array.ndim))


def _renamed(by_path: Mapping) -> dict:
    """The same values by torch name; architecture logits have none and are left out."""
    found = {}
    for path, value in by_path.items():
        owner, _, parameter = path.rpartition(".")
        if parameter in _PARAMETERS:
            branches = {} if parameter == "kernel" else BRANCHES
            words = [branches.get(word, word) for word in _HEAD.get(owner, owner).split(".")]
            found[".".join([*words, _PARAMETERS[parameter]])] = value
    return found
