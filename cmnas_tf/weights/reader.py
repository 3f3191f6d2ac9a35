"""Weight files that PyTorch programs write: safetensors, or pickles that hold nothing but tensors.

A pickle is a program; PyTorch reads it here with ``weights_only=True``, which knows tensors and
plain containers and runs nothing. PyTorch is needed for these files alone, and imported only then.
"""

import os
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cmnas_tf.errors import BadInput
from cmnas_tf.reading import read_safetensors
from cmnas_tf.weights.torch_names import without_prefix

TorchState = dict[str, np.ndarray]

# Bytes that all tensors of a file may have for each byte of it; our choice. Several tensors may be
# of the same bytes, but a few bytes must not become more numbers than fit into memory.
_MOST_SHARED = 4


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
      BadInput: no such file, no weights in it, truncated, not finite, compressed, a pickle of
        something else than tensors, or PyTorch is needed and not installed.
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
        live, average = _state(path, content["model"]), content.get("ema")
        is_absent = average is None or (isinstance(average, Mapping) and not average)
        return {"live": live, "average": live if is_absent else _state(path, average)}
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
    with path.open("rb") as file:
        if file.read(4) == b"PK\x03\x04":  # how PyTorch tells its two formats apart
            _require_stored(path)
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


def _require_stored(path: Path) -> None:
    """Raises BadInput if a zip file is compressed, in which a little may unfold to anything."""
    try:
        with zipfile.ZipFile(path) as archive:
            kinds = {member.compress_type for member in archive.infolist()}
    except Exception as error:  # a damaged directory leads it to several
        raise BadInput(
            f"{path} is not a file that torch.save wrote, or it is truncated ({error}). Fetch or "
            "write it again."
        ) from error
    if kinds - {zipfile.ZIP_STORED}:
        raise BadInput(
            f"{path} is compressed, and torch.save compresses nothing. Write it again where it was "
            "made: torch.save(network.state_dict(), FILE)."
        )


def _state(path: Path, content: Any) -> TorchState:
    """``{name: array}`` of tensors or arrays."""
    tensors = content if isinstance(content, Mapping) else {}
    others = [str(name) for name, tensor in tensors.items() if not _is_tensor(tensor)]
    if not tensors or others:
        found = ", ".join(others[:5]) or type(content).__name__
        raise BadInput(
            f"{path} holds no state dict (found: {found}). Give a file whose every entry is a "
            "tensor, or a dict of one under `model`."
        )
    if sum(tensor.nbytes for tensor in tensors.values()) > _MOST_SHARED * path.stat().st_size:
        raise BadInput(
            f"{path} has tensors of more than {_MOST_SHARED} times its own bytes: they repeat "
            "numbers. Write it again where it was made, each tensor by its method clone()."
        )
    state = without_prefix({str(name): _array(path, name, t) for name, t in tensors.items()})
    if len(state) < len(tensors):
        raise BadInput(
            f"{path} has tensors twice, with `module.` before their names and without. Give a file "
            "of one network."
        )
    broken = [name for name, array in state.items() if not np.isfinite(array).all()]
    if broken:
        raise BadInput(f"{path}: {', '.join(broken[:5])} is not finite. Use another file.")
    return state


def _is_tensor(value: Any) -> bool:
    """Whether it is an array, or a tensor of PyTorch that has its numbers one beside the other."""
    layout = getattr(value, "layout", None)
    return isinstance(value, np.ndarray) or str(layout) == "torch.strided"


def _array(path: Path, name: str, tensor: Any) -> np.ndarray:
    """A tensor of PyTorch or NumPy as float32, or as the integers it is."""
    try:
        if not isinstance(tensor, np.ndarray):
            tensor = tensor.detach()
            tensor = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
        if tensor.dtype.kind == "c":
            raise TypeError("it has complex numbers")
    except (RuntimeError, TypeError, ValueError) as error:
        raise BadInput(
            f"{path}: {name} is no tensor that NumPy knows ({str(error).splitlines()[0]}). Write "
            "it again as float32 where it was made."
        ) from error
    return tensor if tensor.dtype.kind in "iu" else tensor.astype(np.float32, copy=False)
