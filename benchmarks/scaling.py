"""``python -m benchmarks.scaling``: what several devices and processes cost, and a checkpoint.

On one machine they share its cores, so this shows what dealing out a batch, gathering and summing
cost, not how much faster more machines are. Writes ``benchmarks/results/scaling.json``.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import batch
from benchmarks.machine import machine
from cmnas_tf.files import write_json
from cmnas_tf.tables import table

RESULT = Path(__file__).parent / "results" / "scaling.json"
WARMUP, STEPS = 2, 7
STEPS_PER_EPOCH = 348  # of SYSU-MM01 in batches of 16 identities x 4 images; ours are smaller
# Logical devices of each process.
VARIANTS = {"one device": [0], "two devices": [2], "two processes": [0, 0]}


def main() -> None:
    """Times every variant, one after the other, and shows the table."""
    seen = {name: _time(devices) for name, devices in VARIANTS.items()}
    alone = seen["one device"]["step_seconds"]
    written = seen["one device"]["copy_seconds"] + seen["one device"]["write_seconds"]
    share = written / (written + STEPS_PER_EPOCH * alone)
    rows = [["", "s a step", "to one device"]]
    for name, figures in seen.items():
        step = figures["step_seconds"]
        rows.append([name, f"{step:.2f}", f"{step / alone:.2f}"])
    result = {"checkpoint_share_of_epoch": share, "variants": seen, "machine": machine()}
    write_json(RESULT, result)
    print(f"{table(rows)}\n\ncheckpoint: {100 * share:.2f} % of an epoch\nwritten to {RESULT}")


def _time(devices: list[int]) -> dict[str, float]:
    """What the first of the processes saw, which all do the same steps together."""
    sockets = [socket.create_server(("localhost", 0)) for _ in devices]
    addresses = [f"localhost:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    processes = []
    for index, count in enumerate(devices):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        config = json.dumps(task) if len(devices) > 1 else ""
        command = [sys.executable, "-m", "benchmarks.scaling", str(count)]
        environment = {**os.environ, "TF_CONFIG": config}
        processes.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE))
    outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise RuntimeError(f"A process of {devices} failed; see above.")
    return json.loads(outputs[0].splitlines()[-1])


def _steps(logical_devices: int) -> dict[str, float]:
    """Times training steps of the all-separate ResNet-50, and a checkpoint, in this process."""
    import tensorflow as tf

    from cmnas_tf.architecture import Architecture
    from cmnas_tf.data.pipeline import Batch
    from cmnas_tf.devices.devices import Devices
    from cmnas_tf.devices.distribution import compiled_on, make_strategy
    from cmnas_tf.losses import Objective
    from cmnas_tf.models import two_stream
    from cmnas_tf.runs.checkpoints import Checkpoints
    from cmnas_tf.training.gradient_step import gradient_step
    from cmnas_tf.training.optimizers import weight_optimizer
    from cmnas_tf.training.recipe import WeightOptimizer

    strategy = make_strategy(Devices(logical_devices=logical_devices))
    with strategy.scope():
        network = two_stream(Architecture.separate(batch.BACKBONE), batch.CLASSES, batch.BACKBONE)
        optimizer = weight_optimizer(network, WeightOptimizer())

    def share_of(context: Any) -> Batch:
        of = context.num_replicas_in_sync
        n = len(batch.labels()) // of
        part = slice(n * context.replica_id_in_sync_group, n * context.replica_id_in_sync_group + n)
        images = {name: tf.constant(pixels[part]) for name, pixels in batch.images().items()}
        return Batch(images, tf.constant(batch.labels()[part]))

    shares = strategy.experimental_distribute_values_from_function(share_of)

    run, step = compiled_on(strategy), partial(gradient_step, network, Objective(), optimizer)

    seconds = []
    for _ in range(WARMUP + STEPS):
        start = time.perf_counter()
        with strategy.scope():
            terms = run(step, shares, batch.IMAGES_PER_IDENTITY)
            tf.nest.map_structure(float, terms)  # waits for the numbers
        seconds.append(time.perf_counter() - start)

    state = {"network": network.get_weight_paths(), "optimizer": optimizer.named_variables()}
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Path(folder))
        start = time.perf_counter()
        checkpoints.save(1, state, {})
        copied = time.perf_counter()
        checkpoints.wait()
        end = time.perf_counter()
    return {
        "step_seconds": median(seconds[WARMUP:]),
        "copy_seconds": copied - start,
        "write_seconds": end - copied,
    }


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(_steps(int(sys.argv[1]))))
    else:
        main()
