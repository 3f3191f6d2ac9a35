"""Results for people: all of some runs in a table, or two side by side and what differs."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cmnas_tf.errors import BadInput
from cmnas_tf.evaluation.results_file import Record, kind_of, read_all, step_of, usual_settings
from cmnas_tf.retrieval.measure import MEASURES, percent
from cmnas_tf.tables import table

# Settings of an evaluation that its data set and its checkpoint say more of.
_SAID_OTHERWISE = {"dataset", "trial", "checkpoint", "weights"}
# What an evaluation may do beside its protocol.
_BESIDE_PROTOCOL = {"flip_average", "rerank"}


def rows(paths: Iterable[str]) -> list[list[str]]:
    """A line for each setting that was measured, in percent, below a line that heads them.

    Args:
      paths: files of results, or folders of runs.

    Raises:
      BadInput: see :func:`read_all`.
    """
    found = [["run", "measured on", "setting", "step", *MEASURES.values(), "queries"]]
    for path in paths:
        for record in read_all(path).values():
            measured_on, step = ", ".join(kind_of(record)), step_of(record)
            for setting, measured in record["results"].items():
                queries = _queries(measured["trials"].values())
                found.append([path, measured_on, setting, step, *percent(measured), queries])
    return found


def _queries(trials: Iterable[Mapping[str, Any]]) -> str:
    """How many count in the trial in which the fewest do, and of how many, if not of all."""
    counts = [(trial["queries"], trial["skipped_queries"]) for trial in trials]
    counted, skipped = min(counts, default=(0, 0))
    return f"{counted} of {counted + skipped}" if skipped else str(counted)


def compare(one: str, other: str) -> str:
    """Results A and B side by side: what differs between them, and whether it is fair.

    Of runs with several results those are compared that measured the same way, at the last step.

    Args:
      one, other: files of results, or folders of runs.

    Raises:
      BadInput: there are no results of this schema, or none of both that measured the same way.
    """
    a, b = (_by_kind(path) for path in (one, other))
    pairs = [(a[kind], b[kind]) for kind in a if kind in b]
    if len(a) == len(b) == 1:
        pairs = list(zip(a.values(), b.values(), strict=True))
    if not pairs:
        raise BadInput(
            f"{one} and {other} have no results that were measured the same way; give two files."
        )
    return "\n\n\n".join(_compared(*pair) for pair in pairs)


def _by_kind(path: str) -> dict[tuple[str, ...], tuple[str, Record]]:
    """By how it was measured, the name and the record of the last step's results."""
    found = sorted(read_all(path).items(), key=lambda item: item[1]["checkpoint"]["step"])
    return {
        kind_of(record): (path if len(found) == 1 else str(file), record) for file, record in found
    }


def _compared(one: tuple[str, Record], other: tuple[str, Record]) -> str:
    (name_a, a), (name_b, b) = one, other
    differences = [f"  {line}" for line in _differences(a, b)]
    if differences:
        said = "\n".join(["what differs:", *differences])
    elif a["results"] != b["results"]:
        said = "the results differ, and nothing that is written down beside them"
    else:
        said = "nothing differs"
    warnings = [f"warning: {warning}" for warning in _warnings(a, b)]
    shown = _side_by_side(a["results"], b["results"])
    return "\n\n".join([f"A  {name_a}\nB  {name_b}", shown, said, *warnings])


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
        yield from _lines(f"{part}, ", _settings(a, part, other), _settings(b, part, one))
        yield from _lines(f"{part}, version of ", one["versions"] or {}, other["versions"] or {})
        beside = ({k: x[k] for k in ("commit", "threads") if k in x} for x in (one, other))
        yield from _lines(f"{part}, ", *beside)


def _architectures(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[str]:
    if a["backbone"] != b["backbone"]:
        yield from _lines("architecture, ", *({"backbone": x["backbone"]} for x in (a, b)))
        return
    pairs = list(zip(a["choices"].split(), b["choices"].split(), strict=True))
    if changed := sum(one != other for one, other in pairs):
        yield f"architecture, choices: {changed} of {len(pairs)} sites are not the same"


def _settings(record: Record, part: str, other: Record) -> Mapping[str, Any]:
    """What was set, and the protocol's defaults where only the other one says what they were."""
    settings, others = (found["settings"] or {} for found in (record[part], other))
    if part == "training":
        return settings
    usual = {name: value for name, value in usual_settings(record).items() if name in others}
    return {k: v for k, v in {**usual, **settings}.items() if k not in _SAID_OTHERWISE}


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
    changed = _changed(*({**usual_settings(x), **x["protocol"]} for x in (a, b)))
    if protocol := [name for name in changed if name not in _BESIDE_PROTOCOL]:
        yield f"not comparable: the protocols differ ({', '.join(protocol)})."
    digests = {content["checkpoint"]["sha256"] for content in (a, b)}
    if len(digests) > 1 and (beside := [name for name in changed if name in _BESIDE_PROTOCOL]):
        yield (
            f"the networks differ and so does {' and '.join(beside)}: the difference of the "
            "results is not the networks' alone."
        )
