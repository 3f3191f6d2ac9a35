"""``results.json``: what an evaluation leaves for people and for other commands."""

import json
import os
from pathlib import Path
from typing import Any

from cmnas_tf.errors import BadInput
from cmnas_tf.evaluation.measure import MEASURES
from cmnas_tf.runs.run_folder import RunFolder

# To be raised whenever a key changes its place or its meaning.
SCHEMA = 1

_PROVENANCE = ("settings", "versions", "commit")
_KEYS = {
    "dataset": ("layout", "trial", "fingerprint", "left_out"),
    "protocol": ("flip_average", "rerank"),
    "checkpoint": ("file", "step", "sha256", "weights"),
    "architecture": ("backbone", "choices"),
    "training": _PROVENANCE,
    "evaluation": _PROVENANCE,
    "results": (),
    "chance": (),
}


def read_results(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads a results file, or that of the folder of a run.

    Raises:
      BadInput: there is no such file, it is not a results file, or one of another schema.
    """
    path = Path(path)
    if path.is_dir():
        path = RunFolder(path).results
    if not path.is_file():
        raise BadInput(f"{path} does not exist; give the results.json that an evaluation wrote.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadInput(f"{path} is not JSON ({error}); give the file of an evaluation.") from error
    if not isinstance(content, dict) or not {"checkpoint", "results"} <= set(content):
        raise BadInput(
            f"{path} is not a results file; give the results.json that an evaluation wrote."
        )
    schema = content.get("schema", 0)
    if schema != SCHEMA:
        raise BadInput(
            f"{path} has schema {schema}, and this program reads schema {SCHEMA}: another version "
            "wrote it. Evaluate that checkpoint again."
        )
    if not _is_whole(content):
        raise BadInput(f"{path} lacks a part of a results file. Evaluate that checkpoint again.")
    return content


def _is_whole(content: dict[str, Any]) -> bool:
    for part, keys in _KEYS.items():
        if not isinstance(content.get(part), dict) or not set(keys) <= set(content[part]):
            return False
    return all(
        isinstance(measured, dict) and isinstance(measured.get(measure), int | float)
        for measured in content["results"].values()
        for measure in MEASURES
    )
