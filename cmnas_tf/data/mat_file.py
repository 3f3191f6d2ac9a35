"""MATLAB files (version 7.2 and older), which SciPy reads in a process of its own.

Its reader is a compiled one, and ends the process on some damaged files.
"""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from cmnas_tf.errors import BadInput
from cmnas_tf.reading import read_bytes

_READER = """
import io, json, resource, sys, scipy.io
resource.setrlimit(resource.RLIMIT_AS, (2**32, 2**32))
def plain(value):
    cell = value.dtype == object
    return [plain(entry) for entry in value.ravel()] if cell else {"array": value.tolist()}
file = io.BytesIO(sys.stdin.buffer.read())
json.dump(plain(scipy.io.loadmat(file)[sys.argv[1]]), sys.stdout)
"""
_SECONDS = 60


def read_mat(file: Path, name: str) -> Any:
    """A variable: an array, int64, float64 or text; or a list of what is in each place of a cell.

    Raises:
      BadInput: it is no such file, it is damaged, or it has no such variable.
    """
    content = read_bytes(file)
    try:
        found = _as_json(content, name)
        return json.loads(found, object_hook=lambda value: np.array(value["array"]))
    except (subprocess.SubprocessError, ValueError) as error:
        said = getattr(error, "stderr", None) or b"its reader crashed"
        reason = said.decode(errors="replace").splitlines()[-1]
        raise BadInput(
            f"{file} is not a MATLAB file (version 7.2 or older) with the variable {name!r}, of "
            f"numbers, text or cells, or it is truncated ({reason}). Get the file anew"
        ) from error


@functools.lru_cache(maxsize=1)  # each protocol of a data set reads the same file
def _as_json(content: bytes, name: str) -> bytes:
    return subprocess.run(
        [sys.executable, "-c", _READER, name],
        input=content,
        capture_output=True,
        check=True,
        timeout=_SECONDS,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # or each has memory of its own
    ).stdout


def are_numbers(value: Any) -> bool:
    """Whether a variable is an array of numbers."""
    return isinstance(value, np.ndarray) and value.dtype.kind in "iuf"
