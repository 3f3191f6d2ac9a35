"""``python -m benchmarks.operations``: which operations a step's time goes into.

What TensorFlow's profiler adds up over all threads: on two cores the operations of a step together
take up to twice as long as the step. Writes ``benchmarks/results/operations.json``.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from cmnas_tf.files import write_json
from cmnas_tf.reports.tables import table

RESULT = Path(__file__).parent / "results" / "operations.json"
VARIANTS = ("derived", "supernet", "naive_supernet", "derived_bfloat16")
WARMUP, STEPS, SHOWN = 3, 5, 25


def main() -> None:
    """Profiles each step in a process of its own, and shows the table."""
    seen = {variant: _profiled_apart(variant) for variant in VARIANTS}
    kinds = sorted(
        {kind for found in seen.values() for kind in found["milliseconds"]},
        key=lambda kind: -max(found["milliseconds"].get(kind, 0.0) for found in seen.values()),
    )
    rows = [["ms a step", *seen]]
    rows.append(["(wall clock)", *(f"{found['step_milliseconds']:.0f}" for found in seen.values())])
    for kind in kinds[:SHOWN]:
        spent = [found["milliseconds"].get(kind, 0.0) for found in seen.values()]
        rows.append([kind, *(f"{value:.0f}" for value in spent)])
    write_json(RESULT, {"variants": seen, "machine": machine()})
    print(f"{table(rows)}\nwritten to {RESULT}")


def _profiled_apart(variant: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.operations", variant]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _profiled(variant: str) -> dict[str, Any]:
    """Milliseconds and number of each kind of operation, in one of some steps."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    from benchmarks import steps

    run = getattr(steps, variant)()
    for _ in range(WARMUP):
        run()
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        tf.profiler.experimental.start(folder)
        for _ in range(STEPS):
            run()
        seconds = time.perf_counter() - begun
        tf.profiler.experimental.stop()
        (file,) = Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(file.read_bytes())
    milliseconds: Counter[str] = Counter()
    number: Counter[str] = Counter()
    for plane in space.planes:
        if plane.name != "/host:CPU":
            continue
        names = {key: event.name for key, event in plane.event_metadata.items()}
        for event in (event for line in plane.lines for event in line.events):
            _, colon, kind = names[event.metadata_id].rpartition(":")
            if colon:  # an operation is called name:kind
                milliseconds[kind] += event.duration_ps / 1e9 / STEPS
                number[kind] += 1
    return {
        "step_milliseconds": 1000 * seconds / STEPS,
        "milliseconds": dict(milliseconds.most_common(SHOWN)),
        "number": {kind: number[kind] // STEPS for kind, _ in milliseconds.most_common(SHOWN)},
    }


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(_profiled(sys.argv[1])))
    else:
        main()
