"""The way in for files that others may have written: regular, of bounded size, of checked form."""

import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmnas_tf.errors import BadInput

if TYPE_CHECKING:
    import numpy as np

MOST_BYTES = 64 * 2**20  # of an image, a list or a JSON file; our choice
MOST_DEPTH = 64  # of objects and lists within each other; our choice
_TOO_DEEP = f"it is nested deeper than {MOST_DEPTH}"


def no_device(path: str | os.PathLike[str]) -> Path:
    """The path; BadInput: it is of a pipe or a device, which might be read for ever."""
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
    """The value in a JSON file.

    Args:
      path: of the file.
      form: what the value must be: a type, where ``float`` includes whole numbers; ``[form]``: a
        list of such; ``{str: form}``: an object of such; or an object's forms by key, which must be
        there unless it ends with ``?``. Other keys may be there, too.
      what: the file should be, such as ``"a results file"``.
      advice: a sentence that says what to do about one that is not.

    Raises:
      BadInput: as :func:`read_bytes` and :func:`parse_json`.
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
        raise ValueError(_TOO_DEEP) from error
    if wrong := misfit(value, form):
        raise ValueError(wrong)
    return value


def misfit(value: Any, form: Any, where: str = "it", depth: int = 0) -> str:
    """What is wrong with a value of JSON, see :func:`parse_json`; empty if nothing is."""
    if depth > MOST_DEPTH:
        return _TOO_DEEP
    within: Iterable[tuple[str, Any, Any]] = ()
    if isinstance(value, dict):
        forms = form if isinstance(form, dict) else {}
        needed = (key for key in forms if key is not str and not key.endswith("?"))
        if absent := [key for key in needed if key not in value]:
            return f"{absent[0]} is missing"
        others = forms.get(str, object)
        within = ((k, v, forms.get(k, forms.get(f"{k}?", others))) for k, v in value.items())
    elif isinstance(value, list):
        of_all = form[0] if isinstance(form, list) else object
        within = ((where, entry, of_all) for entry in value)
    elif isinstance(value, float) and not math.isfinite(value):
        return f"{where} is {value}"
    elif isinstance(value, int) and value.bit_length() > 64:
        return f"{where} has more than 64 bits"
    kind = type(form) if isinstance(form, dict | list) else form
    fits = isinstance(value, int | float if kind is float else kind)
    if not fits or (isinstance(value, bool) and kind not in (bool, object)):
        return f"{where} must be {getattr(kind, '__name__', kind)}, not {repr(value)[:60]}"
    return next(filter(None, (misfit(v, f, k, depth + 1) for k, v, f in within)), "")


def read_safetensors(
    path: str | os.PathLike[str],
) -> tuple[Mapping[str, str], "dict[str, np.ndarray]"]:
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
