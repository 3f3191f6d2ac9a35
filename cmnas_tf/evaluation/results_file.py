"""``results.json``: what an evaluation leaves for people and other commands, read and compared."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cmnas_tf.errors import BadInput
from cmnas_tf.evaluation.measure import MEASURES, percent
from cmnas_tf.runs.run_folder import RunFolder
from cmnas_tf.tables import table

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
# Settings of an evaluation that its data set and its checkpoint say more of.
_SAID_OTHERWISE = {"dataset", "trial", "checkpoint", "weights"}
# What an evaluation may do beside its protocol.
_BESIDE_PROTOCOL = {"flip_average", "rerank"}


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


def compare(one: str, other: str) -> str:
    """Two results files, A and B, side by side: what differs between them, and whether it is fair.

    Raises:
      BadInput: a file is missing or is no results file of this schema.
    """
    a, b = read_results(one), read_results(other)
    differences = [f"  {line}" for line in _differences(a, b)]
    if differences:
        said = "\n".join(["what differs:", *differences])
    elif a["results"] != b["results"]:
        said = "the results differ, and nothing that is written down beside them"
    else:
        said = "nothing differs"
    warnings = [f"warning: {warning}" for warning in _warnings(a, b)]
    shown = _side_by_side(a["results"], b["results"])
    return "\n\n".join([f"A  {one}\nB  {other}", shown, said, *warnings])


def _side_by_side(a: Mapping[str, Any], b: Mapping[str, Any]) -> str:
    """The results of every setting, in percent, and their differences where both have it."""
    lines = [["", "", *MEASURES.values()]]
    for setting in {**a, **b}:
        for name, results in (("A", a), ("B", b)):
            if setting in results:
                lines.append([setting, name, *percent(results[setting])])
        if setting in a and setting in b:
            change = {key: b[setting][key] - a[setting][key] for key in MEASURES}
            lines.append([setting, "B - A", *percent(change, "+.2f")])
    return table(lines)


def _differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[str]:
    """A line for each, from the images to the code."""
    yield from _lines("data set, ", a["dataset"], b["dataset"])
    yield from _lines("checkpoint, ", a["checkpoint"], b["checkpoint"])
    yield from _architectures(a["architecture"], b["architecture"])
    for part in ("evaluation", "training"):
        one, other = a[part], b[part]
        yield from _lines(f"{part}, ", _settings(one, part), _settings(other, part))
        yield from _lines(f"{part}, version of ", one["versions"] or {}, other["versions"] or {})
        yield from _lines(f"{part}, ", {"commit": one["commit"]}, {"commit": other["commit"]})


def _architectures(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[str]:
    if a["backbone"] != b["backbone"]:
        yield from _lines("architecture, ", *({"backbone": x["backbone"]} for x in (a, b)))
        return
    pairs = list(zip(a["choices"].split(), b["choices"].split(), strict=True))
    if changed := sum(one != other for one, other in pairs):
        yield f"architecture, choices: {changed} of {len(pairs)} sites are not the same"


def _settings(provenance: Mapping[str, Any], part: str) -> Mapping[str, Any]:
    settings = provenance["settings"] or {}
    said = _SAID_OTHERWISE if part == "evaluation" else ()
    return {name: value for name, value in settings.items() if name not in said}


def _lines(title: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[str]:
    for key in _changed(a, b):
        yield f"{title}{key}: {_shown(a, key)} in A, {_shown(b, key)} in B"


def _changed(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    return [key for key in {**a, **b} if a.get(key) != b.get(key)]


def _shown(values: Mapping[str, Any], key: str) -> str:
    if key not in values:
        return "not written down"
    value = values[key]
    if value in (None, "", []):
        return "none"
    words = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return re.sub(r"\b[0-9a-f]{40,64}\b", lambda digest: digest[0][:12], words)


def _warnings(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[str]:
    """Why the two must not be compared, or not as two networks."""
    if a["dataset"] != b["dataset"]:
        yield "not comparable: the test images are not the same."
    changed = _changed(a["protocol"], b["protocol"])
    if protocol := [name for name in changed if name not in _BESIDE_PROTOCOL]:
        yield f"not comparable: the protocols differ ({', '.join(protocol)})."
    digests = {content["checkpoint"]["sha256"] for content in (a, b)}
    if len(digests) > 1 and (beside := [name for name in changed if name in _BESIDE_PROTOCOL]):
        yield (
            f"the networks differ and so does {' and '.join(beside)}: the difference of the "
            "results is not the networks' alone."
        )
