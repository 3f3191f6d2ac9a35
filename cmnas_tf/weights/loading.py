"""A PyTorch state into a network: every key is used, reported, or refused by name."""

import dataclasses
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cmnas_tf.errors import BadInput
from cmnas_tf.weights.torch_names import (
    BRANCHES,
    COUNTER,
    FRESH_NORM,
    backbone_of,
    norms_of,
    to_tensorflow,
    torch_variables,
    without_prefix,
)

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras as keras

# First words of the names of what is not the backbone; ``fc`` is the ImageNet classifier.
_HEAD = ("bnneck", "classifier", "fc", "head")


@dataclass(frozen=True)
class LoadReport:
    """What became of the keys of a state."""

    loaded: tuple[str, ...]  # torch names whose values the model now holds
    unused_branches: tuple[str, ...]  # those of batch norms that the architecture does not use
    counters: tuple[str, ...]  # ``num_batches_tracked`` entries, which no computation uses
    left_out: tuple[str, ...] = ()  # of a head that the network has not, or for other identities
    fresh: tuple[str, ...] = ()  # of the network's head and non-local blocks, left as they were

    def __str__(self) -> str:
        """A few lines that account for every key."""
        norms = dict.fromkeys(name.rpartition(".")[0] for name in self.unused_branches)
        lists = {
            "batch norms that the architecture does not use": norms,
            "left out": self.left_out,
            "fresh, because the file has none that fits": self.fresh,
        }
        lines = [f"{len(self.loaded)} arrays loaded"]
        lines += [f"{what}: {', '.join(names)}" for what, names in lists.items() if names]
        if self.counters:
            lines.append(f"{len(self.counters)} batch counters, which nothing computes with")
        return "\n".join(textwrap.fill(line, 100, subsequent_indent="  ") for line in lines)


def load_torch_state(model: "keras.Model", state: Mapping[str, np.ndarray]) -> LoadReport:
    """Puts a PyTorch state, as ``{torch name: array in torch layout}``, into a two-stream network.

    A leading ``module.`` is dropped. Every variable of the model must be given, every key must
    belong to the model; only the batch norms that the authors store at a site without using them,
    and PyTorch's batch counters, are left out, and reported.

    Args:
      model: a network made by ``models.two_stream``.
      state: arrays; convolutions as [out, in, height, width], linear layers as [out, in].

    Raises:
      BadInput: a key is missing, unknown, or of the wrong shape; nothing is loaded then.
    """
    variables = torch_variables(model)
    return _load(variables, without_prefix(state), {name: name for name in variables})


def load_initial_state(model: "keras.Model", state: Mapping[str, np.ndarray]) -> LoadReport:
    """Gives a network, or a supernet, the weights of a state to start from.

    Unlike :func:`load_torch_state`, a batch norm that the state does not have starts from the
    shared one of its site, as all of them do from ImageNet weights (authors' released code), and a
    shared one from the separate ones where these are equal, as they are when ImageNet weights were
    imported for a network with separate ones. Where each modality has a first convolution, both
    start from the one there is. The head stays as it is when the state has none or one for another
    number of identities, and so do non-local blocks that the state does not have.

    Args:
      model: made by ``models.two_stream`` or a search space.
      state: as for :func:`load_torch_state`, or with the names of ``from_torchvision``.

    Raises:
      BadInput: a key is missing, unknown, or of the wrong shape; nothing is loaded then.
    """
    state, variables = without_prefix(state), torch_variables(model)
    fresh = {name: variable for name, variable in variables.items() if _is_head(name)}
    left_out = {name: array for name, array in state.items() if _is_head(name)}
    if all(
        name in state and to_tensorflow(state[name]).shape == tuple(variable.shape)
        for name, variable in fresh.items()
    ):
        fresh, left_out = {}, {}
    fresh |= {n: v for n, v in variables.items() if ".non_local." in n and n not in state}
    wanted = {name: variable for name, variable in variables.items() if name not in fresh}
    given = {name: array for name, array in state.items() if name not in left_out}
    report = _load(wanted, given, {name: _source(name, given) for name in wanted})
    return dataclasses.replace(report, left_out=tuple(left_out), fresh=tuple(fresh))


def _load(
    variables: "Mapping[str, tf.Variable]",
    state: Mapping[str, np.ndarray],
    sources: Mapping[str, str],
) -> LoadReport:
    """Assigns ``state[sources[name]]`` to every variable, or nothing at all."""
    ours, theirs = backbone_of(variables), backbone_of(state)
    if theirs not in (ours, None):
        raise BadInput(
            f"These are weights of {theirs} and the network is a {ours} (nothing was loaded). Give "
            f"backbone={theirs}, or other weights."
        )
    used = set(sources.values())
    known = _stored_norms(variables)
    others = {name: name.rpartition(".") for name in state if name not in used}
    counters = [n for n, (norm, _, word) in others.items() if norm in known and word == COUNTER]
    dead = [n for n, (norm, _, word) in others.items() if norm in known and word in FRESH_NORM]
    unknown = sorted(set(others) - set(counters) - set(dead))
    missing = [name for name, source in sources.items() if source not in state]
    arrays = {
        name: to_tensorflow(np.asarray(state[source]))
        for name, source in sources.items()
        if source in state
    }
    misshapen = [
        f"{name}: expected {tuple(variables[name].shape)}, found {array.shape} (both as HWIO / IO)"
        for name, array in arrays.items()
        if array.shape != tuple(variables[name].shape)
    ]
    lists = {"missing": missing, "unknown": unknown, "of the wrong shape": misshapen}
    problems = [
        f"{len(found)} {what}: {', '.join(found[:8])}{', ...' if len(found) > 8 else ''}"
        for what, found in lists.items()
        if found
    ]
    if problems:
        raise BadInput(
            "The weights do not fit this network (nothing was loaded): "
            f"{'; '.join(problems)}. Check width, number of identities and architecture."
        )
    for name, array in arrays.items():
        variables[name].assign(array)
    return LoadReport(tuple(arrays), tuple(dead), tuple(counters))


def _stored_norms(variables: "Mapping[str, tf.Variable]") -> set[str]:
    """The batch norms of the authors' network: the neck, and all three at every site."""
    sites = {norm.rpartition(".")[0] for norm in norms_of(variables)} - {""}
    return {f"{site}.{branch}" for site in sites for branch in BRANCHES.values()} | {"bnneck"}


def _source(name: str, state: Mapping[str, np.ndarray]) -> str:
    """The key that the variable ``name`` starts from; its own where no other can stand for it."""
    *site, branch, parameter = name.split(".")
    plain = ".".join([*site, parameter])
    if branch in BRANCHES and name not in state and plain in state:
        return plain
    if name in state or branch not in BRANCHES.values():
        return name
    visible, infrared, shared = (".".join([*site, b, parameter]) for b in BRANCHES.values())
    if name != shared:
        return shared
    both = visible in state and infrared in state
    return visible if both and np.array_equal(state[visible], state[infrared]) else name


def _is_head(name: str) -> bool:
    return name.split(".")[0] in _HEAD
