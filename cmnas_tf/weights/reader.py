"""Weight files that PyTorch programs write: safetensors, or pickles that hold nothing but tensors.

A pickle is a program; PyTorch reads it here with ``weights_only=True``, which knows tensors and
plain containers and runs nothing. PyTorch is needed for these files alone, and imported only then.
"""

import os
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cmnas_tf.errors import BadInput
from cmnas_tf.reading import read_safetensors
from cmnas_tf.weights.torch_names import without_prefix

TorchState = dict[str, np.ndarray]


def read_torch_file(path: str | os.PathLike[str]) -> dict[str, TorchState]:
    """Reads the weights of a file.

    Args:
      path: a ``.safetensors`` file; or what ``torch.save`` wrote: a state dict, or the authors'
        checkpoint, a dict with the keys ``model``, ``ema`` (None without one), ``optimizer``,
        ``epoch``.

    Returns:
      ``{"live": state, "average": state}``, names without a leading ``module.``; the same state
      twice when the file has one.

    Raises:
      BadInput: no such file, no weights in it, truncated, not finite, a pickle of something else
        than tensors, or PyTorch is needed and not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"No weight file {path}. Give the path of an existing one.")
    if path.suffix.lower() in (".h5", ".hdf5", ".keras"):
        raise BadInput(
            f"{path} is Keras's, and files of PyTorch are read. Give what torch.save wrote, or "
            ".safetensors with PyTorch's names and shapes."
        )
    is_safetensors = path.suffix == ".safetensors"
    content = _read_safetensors(path) if is_safetensors else _read_pickle(path)
    if isinstance(content, Mapping) and isinstance(content.get("model"), Mapping):
        live = _state(path, content["model"])
        return {"live": live, "average": _state(path, content.get("ema") or live)}
    state = _state(path, content)
    return {"live": state, "average": state}


def _read_safetensors(path: Path) -> TorchState:
    try:
        metadata, tensors = read_safetensors(path)
    except ValueError as error:
        raise BadInput(
            f"{path} is not a safetensors file that can be read, or it is truncated ({error}). "
            "Fetch or write it again, as float32."
        ) from error
    if "cmnas_tf" in metadata:
        raise BadInput(
            f"{path} is a checkpoint of this program already; give it as `checkpoint` or "
            "`initial_weights` as it is."
        )
    return tensors


def _read_pickle(path: Path) -> Any:
    try:
        import torch
    except ImportError as error:
        raise BadInput(
            f"{path} is not a .safetensors file, so PyTorch has to read it, and it is not "
            'installed. Install it (pip install "cmnas_tf[torch]"), or write the file as '
            ".safetensors where it is: safetensors.torch.save_file(state_dict, FILE)."
        ) from error
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # its unpickler raises whatever a damaged file leads it to
        asked = re.search(r"GLOBAL ([\w.]+)", str(error))
        if asked and isinstance(error, pickle.UnpicklingError):
            raise BadInput(
                f"{path} asks for {asked.group(1)}, which is more than tensors and plain "
                "containers. Reading such a file could run code, so it was not read. Save the "
                "weights alone where they were made: torch.save(network.state_dict(), FILE)."
            ) from error
        raise BadInput(
            f"{path} is not a file that torch.save wrote, or it is truncated "
            f"({type(error).__name__}). Fetch or write it again."
        ) from error


def _state(path: Path, content: Any) -> TorchState:
    """``{name: array}`` of tensors or arrays."""
    tensors = content if isinstance(content, Mapping) else {}
    others = [str(name) for name, tensor in tensors.items() if not hasattr(tensor, "shape")]
    if not tensors or others:
        found = ", ".join(others[:5]) or type(content).__name__
        raise BadInput(
            f"{path} holds no state dict (found: {found}). Give a file whose every entry is a "
            "tensor, or a dict of one under `model`."
        )
    state = without_prefix({str(name): _array(tensor) for name, tensor in tensors.items()})
    broken = [name for name, array in state.items() if not np.isfinite(array).all()]
    if broken:
        raise BadInput(f"{path}: {', '.join(broken[:5])} is not finite. Use another file.")
    return state


def _array(tensor: Any) -> np.ndarray:
    """A tensor of PyTorch or NumPy as float32, or as the integers it is."""
    if not isinstance(tensor, np.ndarray):
        tensor = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    return tensor if tensor.dtype.kind in "iu" else tensor.astype(np.float32, copy=False)
