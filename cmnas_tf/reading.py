"""The way in for files that others may have written: regular, of bounded size, of checked form."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cmnas_tf.errors import BadInput

MOST_BYTES = 64 * 2**20  # of an image, a list or a JSON file; our choice
MOST_DEPTH = 64  # of objects and lists within each other; our choice


def no_device(path: str | os.PathLike[str]) -> Path:
    """The path, of a file, of a folder or of nothing.

    Raises:
      BadInput: it is of a pipe or a device, which might be waited for, or read, for ever.
    """
    path = Path(path)
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise BadInput(f"{path} is a pipe or a device, and only files are read. Give a file.")
    return path


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The content of a file.

    Raises:
      BadInput: it is a pipe or a device, or has more than ``MOST_BYTES``.
      OSError: it cannot be read.
    """
    path = no_device(path)
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise BadInput(
            f"{path} has {size:,} bytes, and at most {MOST_BYTES:,} are read. Give a smaller file."
        )
    return path.read_bytes()


def read_json(path: str | os.PathLike[str], form: Any, what: str, advice: str) -> Any:
    """The value in a JSON file (UTF-8).

    Args:
      path: of the file.
      form: what the value must be: a type, where ``float`` includes whole numbers; ``[form]``: a
        list of such; ``{str: form}``: an object of such; or an object's forms by key, which must be
        there unless it ends with ``?``. Other keys may be there, too.
      what: the file should be, such as ``"a results file"``.
      advice: a sentence that says what to do about one that is not.

    Raises:
      BadInput: as :func:`read_bytes`, or it is not such a file.
      OSError: it cannot be read.
    """
    content = read_bytes(path)
    try:
        return parse_json(content, form)
    except ValueError as error:
        raise BadInput(f"{path} is not {what} ({error}). {advice}") from error


def parse_json(text: str | bytes, form: Any = object) -> Any:
    """The value of a JSON text, of a form as for :func:`read_json`.

    Raises:
      ValueError: it is no JSON in UTF-8, of another form, nested deeper than ``MOST_DEPTH``, or has
        a number that is not finite or, as an integer, of more than 64 bits.
    """
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError(f"nested deeper than {MOST_DEPTH}") from error
    level, depth = [value], 0
    while level:
        if depth > MOST_DEPTH:
            raise ValueError(f"nested deeper than {MOST_DEPTH}")
        for entry in level:
            if isinstance(entry, float) and not math.isfinite(entry):
                raise ValueError(f"a number is {entry}")
            if isinstance(entry, int) and entry.bit_length() > 64:
                raise ValueError("an integer has more than 64 bits")
        level = [inner for entry in level for inner in _within(entry)]
        depth += 1
    if wrong := misfit(value, form):
        raise ValueError(wrong)
    return value


def _within(value: Any) -> Any:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def misfit(value: Any, form: Any, where: str = "it") -> str:
    """Where a value is not of a form, see :func:`read_json`; empty if it is everywhere."""
    if isinstance(form, dict) and isinstance(value, dict):
        forms = dict.fromkeys(value, form[str]) if str in form else form
        for key, inner in forms.items():
            name = key.removesuffix("?")
            if name not in value and name == key:
                return f"{name} is missing"
            if name in value and (wrong := misfit(value[name], inner, name)):
                return wrong
        return ""
    if isinstance(form, list) and isinstance(value, list):
        return next(filter(None, (misfit(entry, form[0], where) for entry in value)), "")
    kind = type(form) if isinstance(form, dict | list) else form
    fits = isinstance(value, int | float if kind is float else kind)
    if fits and (kind in (bool, object) or not isinstance(value, bool)):
        return ""
    return f"{where} must be {getattr(kind, '__name__', kind)}, not {repr(value)[:60]}"


def read_safetensors(
    path: str | os.PathLike[str],
) -> tuple[Mapping[str, str], dict[str, np.ndarray]]:
    """The metadata and the tensors of a ``.safetensors`` file.

    Raises:
      ValueError: it is none, it is truncated, or a tensor is of a kind or size that NumPy has not.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return file.metadata() or {}, tensors
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    except (TypeError, AttributeError) as error:
        raise ValueError(f"it holds numbers of a type that NumPy has not: {error}") from error
