"""The results of a run: a file for each evaluation, so that none takes another's place.

An earlier version's only ``results.json`` is read beside them and left as it is; elsewhere that
name is a link to the newest.
"""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cmnas_tf.data import LAYOUTS
from cmnas_tf.errors import BadInput
from cmnas_tf.evaluation.closer_look import FORM as LOOK
from cmnas_tf.evaluation.closer_look import Look, beyond_form
from cmnas_tf.evaluation.matching import Matching
from cmnas_tf.files import replacing, write_json
from cmnas_tf.options import described
from cmnas_tf.reading import misfit, read_json
from cmnas_tf.retrieval.measure import MEASURES
from cmnas_tf.runs.checkpoints import BEST
from cmnas_tf.runs.run_folder import RunFolder

Record = Mapping[str, Any]

# To be raised whenever a key changes its place or its meaning.
SCHEMA = 1

_PROVENANCE = {"settings": dict | None, "versions": dict | None, "commit": str | None}
_MARKS = {"checkpoint": dict, "results": dict}
_FORM = {
    "dataset": {"layout": str, "trial": int, "fingerprint": str, "left_out": object},
    "protocol": {"flip_average": object, "rerank": object},
    "checkpoint": {"file": str, "step": int, "sha256": str, "weights": str},
    "architecture": {"backbone": object, "choices": object},
    "training": _PROVENANCE,
    "evaluation": _PROVENANCE,
    "results": {str: dict.fromkeys(MEASURES, float)},
    "chance": {str: dict},
}


def read_results(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads a results file, or that of the folder of a run.

    Raises:
      BadInput: there is no such file, it is not a results file, or one of another schema.
    """
    path = Path(path)
    if path.is_dir():
        path = RunFolder(path).results
    advice = "give the results.json that an evaluation wrote."
    if not path.is_file():
        raise BadInput(f"{path} does not exist; {advice}")
    content = read_json(path, _MARKS, "a results file", advice.capitalize())
    if (schema := content.get("schema", 0)) != SCHEMA:
        raise BadInput(
            f"{path} has schema {schema}, and this program reads schema {SCHEMA}: another version "
            "wrote it. Evaluate that checkpoint again."
        )
    if wrong := misfit(content, _FORM):
        raise BadInput(
            f"{path} is not a whole results file ({wrong}). Evaluate that checkpoint again."
        )
    return content


def usual_settings(record: Record) -> dict[str, Any]:
    """How an evaluation on the record's data set measures by default; empty of an unknown one."""
    layout = record["dataset"]["layout"]
    if layout not in LAYOUTS:
        return {}
    usual = described([LAYOUTS[layout].protocol(), Matching()])
    return {**usual, "weights": "average", "precision": "float32"}


def keep(record: Record, run: RunFolder, look: Look | None = None) -> str:
    """Writes what an evaluation measured among the results of a run; says where, and over what.

    The same images measured by the same protocol and weights have the same file.

    Args:
      look: see ``closer_look``; kept too.
    """
    words = [*kind_of(record), f"step {record['checkpoint']['step']}", _digest(record)]
    file = run.results_folder / re.sub(r"[^\w.-]+", "_", f"{'-'.join(words)}.json")
    replaces = file.is_file()
    before = _scores(file) if replaces else None
    if look is not None:
        write_json(run.looks / file.name, look)
    write_json(file, record)
    if run.results.is_symlink() or not run.results.exists():
        with contextlib.suppress(OSError), replacing(run.results) as aside:  # where links can be
            aside.symlink_to(file.relative_to(run.path))
    if not replaces:
        return f"written to {file}"
    change = "its scores are the same" if before == _scores(file) else "its scores differ"
    return f"written to {file} in place of an earlier evaluation of the same; {change}"


def _scores(file: Path) -> Any:
    """Those in a file; None: it is damaged."""
    with contextlib.suppress(BadInput):
        return read_results(file)["results"]


def read_look(results: Path, run: RunFolder) -> Look | None:
    """What was kept of a run's results to look at; None where nothing was, as in earlier versions.

    Raises:
      BadInput: it is damaged.
    """
    path, what = run.looks / results.name, "what an evaluation saw"
    advice = "Evaluate that checkpoint again."
    look: Look | None = read_json(path, LOOK, what, advice) if path.exists() else None
    if look is not None and (wrong := beyond_form(look)):
        raise BadInput(f"{path} is not {what} ({wrong}). {advice}")
    return look


def results_files(run: RunFolder) -> list[Path]:
    """The files of a run's results: that of an earlier version, then the others by their names."""
    earlier = [run.results] if run.results.is_file() and not run.results.is_symlink() else []
    return earlier + sorted(run.results_folder.glob("*.json"))


def read_all(path: str | os.PathLike[str]) -> dict[Path, Record]:
    """The results in a file, or of the folder of a run; of equal evaluations the last one.

    Raises:
      BadInput: there are none, or a file is not one of results.
    """
    if not Path(path).is_dir():
        return {Path(path): read_results(path)}
    run = RunFolder(path)
    found = {file: read_results(file) for file in results_files(run) or [run.results]}
    last = {_digest(record): file for file, record in found.items()}
    return {file: found[file] for file in last.values()}


def kind_of(record: Record) -> tuple[str, ...]:
    """The data set, and what was chosen otherwise than by default, in words.

    Two results may be compared where it is the same. What an older version did not know is as by
    default.
    """
    settings, usual = record["evaluation"]["settings"] or {}, usual_settings(record)
    layout, trial = (record["dataset"][key] for key in ("layout", "trial"))
    several = layout in LAYOUTS and LAYOUTS[layout].trials > 1
    chosen = {k: v for k, v in settings.items() if k in usual and v != usual[k]}
    words = [k if v is True else f"{k} {'off' if v is False else v}" for k, v in chosen.items()]
    return (layout, *([f"trial {trial}"] if several else []), *words)


def step_of(record: Record) -> str:
    """The step that was measured, and whether the training was finished then or it is the best."""
    step, planned = record["checkpoint"]["step"], record["training"].get("planned_steps")
    if BEST in record["checkpoint"]:
        return f"{step} of {planned}, best by {record['checkpoint'][BEST]['on']}"
    return f"{step} of {planned}, unfinished" if planned and step < planned else str(step)


def _digest(record: Record) -> str:
    contents = [record["dataset"]["fingerprint"], record["checkpoint"]["sha256"]]
    identity = json.dumps([*kind_of(record), *contents])
    return hashlib.sha256(identity.encode()).hexdigest()[:8]
