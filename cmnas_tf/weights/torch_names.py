"""PyTorch's names and layouts of the two-stream network's weights, as the authors save them.

``backbone.conv1.weight``, ``backbone.layer1.0.bn1.{visible_bn,thermal_bn,sharable_bn}.weight``,
``backbone.layer1.0.downsample.conv.weight``, ``bnneck.weight``, ``classifier.weight``, ...; here
the same objects have nearly the same paths, so the mapping is word for word.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

BRANCHES = {"visible": "visible_bn", "infrared": "thermal_bn", "shared": "sharable_bn"}

_WORDS = {
    **BRANCHES,
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
    "kernel": "weight",
}
_HEAD = {"head.neck": "bnneck", "head.classifier": "classifier"}
_DEAD_BRANCH = re.compile(r"^(?P<norm>backbone\..*bn\d?)\.(visible_bn|thermal_bn|sharable_bn)\.")
# Axes by rank; None, for any other rank, would reverse them, which leaves a vector as it is.
_TO_TENSORFLOW = {4: (2, 3, 1, 0), 2: (1, 0)}
_TO_TORCH = {4: (3, 2, 0, 1), 2: (1, 0)}
_COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class LoadReport:
    """What became of the keys of a state.

    Attributes:
      loaded: torch names whose values the model now holds.
      unused_branches: torch names of batch norms that the architecture does not use.
      counters: ``num_batches_tracked`` entries, which no computation uses.
    """

    loaded: tuple[str, ...]
    unused_branches: tuple[str, ...]
    counters: tuple[str, ...]


def torch_variables(model: "tf.keras.Model") -> "dict[str, tf.Variable]":
    """``{torch name: variable}`` of a two-stream network."""
    return {_torch_name(path): variable for path, variable in model.get_weight_paths().items()}


def load_torch_state(model: "tf.keras.Model", state: Mapping[str, np.ndarray]) -> LoadReport:
    """Puts a PyTorch state, as ``{torch name: array in torch layout}``, into a two-stream network.

    A leading ``module.`` is dropped. Every variable of the model must be given, every key must
    belong to the model; only the batch norms that the authors store at a site without using them,
    and PyTorch's batch counters, are left out, and reported.

    Args:
      model: a network made by ``models.two_stream``.
      state: arrays; convolutions as [out, in, height, width], linear layers as [out, in].

    Returns:
      What became of each key.

    Raises:
      ValueError: a key is missing, unknown, or of the wrong shape; nothing is loaded then.
    """
    state = {name.removeprefix("module."): value for name, value in state.items()}
    variables = torch_variables(model)
    sites = {name.rsplit(".", 2)[0] for name in variables if _DEAD_BRANCH.match(name)}
    others = [name for name in state if name not in variables]
    counters = [name for name in others if name.endswith(_COUNTER)]
    dead = [name for name in others if name not in counters and name.rsplit(".", 2)[0] in sites]
    unknown = sorted(set(others) - set(counters) - set(dead))
    missing = [name for name in variables if name not in state]
    arrays = {name: to_tensorflow(np.asarray(state[name])) for name in variables if name in state}
    misshapen = [
        f"{name}: expected {tuple(variables[name].shape)}, found {array.shape} (both as HWIO / IO)"
        for name, array in arrays.items()
        if array.shape != tuple(variables[name].shape)
    ]
    problems = [
        f"{len(found)} {what}: {', '.join(found[:8])}{', ...' if len(found) > 8 else ''}"
        for what, found in (
            ("missing", missing),
            ("unknown", unknown),
            ("of the wrong shape", misshapen),
        )
        if found
    ]
    if problems:
        raise ValueError(
            "The PyTorch state does not fit this network (nothing was loaded): "
            + "; ".join(problems)
            + ". Check backbone, width, number of identities and architecture."
        )
    for name, array in arrays.items():
        variables[name].assign(array)
    return LoadReport(tuple(arrays), tuple(dead), tuple(counters))


def to_tensorflow(array: np.ndarray) -> np.ndarray:
    """From torch's layout to TensorFlow's: OIHW -> HWIO, [out, in] -> [in, out]."""
    return array.transpose(_TO_TENSORFLOW.get(array.ndim))


def to_torch(array: np.ndarray) -> np.ndarray:
    """From TensorFlow's layout to torch's: HWIO -> OIHW, [in, out] -> [out, in]."""
    return array.transpose(_TO_TORCH.get(array.ndim))


def _torch_name(path: str) -> str:
    for ours, theirs in _HEAD.items():
        if path.startswith(f"{ours}."):
            path = theirs + path[len(ours) :]
    return ".".join(_WORDS.get(word, word) for word in path.split("."))
