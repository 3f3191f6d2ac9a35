"""``python -m benchmarks.operations``: which operations the time of steps, of the pipeline and of
exports goes into.

What TensorFlow's profiler adds up over all threads: on two cores the operations of a step together
take up to twice as long as the step. Writes ``benchmarks/results/operations.json``.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from benchmarks.worker import prepared, seconds_of
from cmnas_tf.files import write_json
from cmnas_tf.tables import table

RESULT = Path(__file__).parent / "results" / "operations.json"
STEPS = "benchmarks.steps:"
# What is profiled, and the operation whose number tells how often that was done.
UNITS = {
    "a step": {
        STEPS + variant: "MaxPool"
        for variant in ("derived", "supernet", "naive_supernet", "derived?precision=bfloat16")
    },
    "an image": {"benchmarks.pipeline:files": "DecodeJpeg"},
    "an image alone": {
        f"benchmarks.embedding:exported?images=1&calls=10&precision={precision}{form}": "MaxPool"
        for precision in ("float32", "bfloat16")
        for form in ("", "&frozen=yes")
    },
}
WARMUP, RUNS, SHOWN = 3, 5, 25


def main() -> None:
    """Profiles each variant in a process of its own, and shows a table of each unit."""
    found = {}
    for unit, variants in UNITS.items():
        seen = {variant: _profiled_apart(variant, once) for variant, once in variants.items()}
        found.update(seen)
        kinds = Counter[str]()
        for milliseconds in seen.values():
            kinds |= Counter(milliseconds)  # the largest of all
        rows = [[f"ms {unit}", *(re.sub(r".*:|\w+=\d+&|precision=", "", v) for v in seen)]]
        for kind, _ in kinds.most_common(SHOWN):
            rows.append([kind, *(f"{spent.get(kind, 0.0):.4g}" for spent in seen.values())])
        print(f"\n{table(rows)}", flush=True)
    write_json(RESULT, {"milliseconds": found, "machine": machine()})
    print(f"\nwritten to {RESULT}")


def _profiled_apart(variant: str, once: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.operations", variant, once]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _profiled(variant: str, once: str) -> dict[str, float]:
    """Milliseconds of each kind of operation, for each operation ``once`` that was seen."""
    import tensorflow as tf

    run = prepared(variant)
    for _ in range(WARMUP):
        seconds_of(run)
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        for _ in range(RUNS):
            seconds_of(run)
        tf.profiler.experimental.stop()
        (file,) = Path(folder).rglob("*.xplane.pb")
        events = list(_operations(file.read_bytes()))
    milliseconds, number = Counter[str](), Counter[str]()
    for kind, duration in events:
        milliseconds[kind] += duration
        number[kind] += 1
    return {kind: spent / number[once] for kind, spent in milliseconds.most_common(SHOWN)}


def _operations(profile: bytes) -> Iterator[tuple[str, float]]:
    """Kind and milliseconds of each operation in a profile."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space: Any = xplane_pb2.XSpace.FromString(profile)
    for plane in space.planes:
        names = {key: event.name for key, event in plane.event_metadata.items()}
        for event in (event for line in plane.lines for event in line.events):
            operation = re.fullmatch(r"[^:]+:(\w+)", names[event.metadata_id])  # name:kind
            if operation:
                yield operation[1].removeprefix("_MklNative"), event.duration_ps / 1e9


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(_profiled(*sys.argv[1:])))
    else:
        main()
