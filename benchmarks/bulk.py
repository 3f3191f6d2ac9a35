"""``python -m benchmarks.bulk``: embedding in bulk beside the loop that one would write.

An all-separate ResNet-50 embeds JPEGs of 288x144, read as 256x128. Both take turns, in processes of
one thread; what is counted are CPU seconds, all of a process but for its imports. Writes
``benchmarks/results/bulk.json``.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import batch
from benchmarks.machine import machine
from cmnas_tf.files import write_json
from cmnas_tf.tables import table

RESULT = Path(__file__).parent / "results" / "bulk.json"
ROUNDS, IMAGES, DISTINCT, AT_A_TIME = 3, 512, 64, 32
VARIANTS = ("loop", "bulk")


def main() -> None:
    """Lets both take turns, and shows the table."""
    seen: dict[str, list[dict[str, float]]] = {variant: [] for variant in VARIANTS}
    with tempfile.TemporaryDirectory(prefix="cmnas_tf_benchmark_") as folder:
        _write(Path(folder))
        for number in range(ROUNDS):
            for variant in VARIANTS:
                command = [sys.executable, "-m", "benchmarks.bulk", variant, folder, str(number)]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                seen[variant].append(json.loads(done.stdout.splitlines()[-1]))
                print(variant, seen[variant][-1], flush=True)
    each = {v: [IMAGES / one["cpu_s"] for one in seen[v]] for v in VARIANTS}
    result = {
        "images_per_cpu_second": {v: median(each[v]) for v in VARIANTS},
        "bulk_over_loop": median(b / a for a, b in zip(each["loop"], each["bulk"], strict=True)),
        "memory_mb": {v: median(one["memory_mb"] for one in seen[v]) for v in VARIANTS},
        "machine": machine(),
    }
    write_json(RESULT, result)
    rows = [["", "images a CPU second", "MB"]]
    for variant in VARIANTS:
        pace, memory = result["images_per_cpu_second"][variant], result["memory_mb"][variant]
        rows.append([variant, f"{pace:.2f}", f"{memory:.0f}"])
    print(f"{table(rows)}\n\nbulk over loop: {result['bulk_over_loop']:.3f}\nwritten to {RESULT}")


def _write(folder: Path) -> None:
    """People of a few images under many names, and a network."""
    from cmnas_tf.architecture import Architecture
    from cmnas_tf.models.specification import Specification
    from cmnas_tf.runs import checkpoints

    random = np.random.default_rng(0)
    for number in range(IMAGES):
        file = folder / "people/visible/cam1" / str(number // 8) / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        if number < DISTINCT:
            coarse = random.integers(0, 256, (18, 9, 3), np.uint8)
            Image.fromarray(coarse).resize((144, 288), Image.Resampling.BICUBIC).save(file)
        else:
            of = number % DISTINCT
            os.link(folder / "people/visible/cam1" / str(of // 8) / f"{of}.jpg", file)
    form = Specification(
        Architecture.separate(batch.BACKBONE), batch.CLASSES, batch.HEIGHT, batch.WIDTH, 1, 1.0
    )
    weights = form.build().get_weight_paths().items()
    tensors = {f"average/{name}": variable.numpy() for name, variable in weights}
    checkpoints.write(folder / "network.safetensors", 1, tensors, {"specification": form.to_json()})


def loop(model: Any, folder: Path, number: str) -> None:
    """Read, decode, embed, keep: one batch after the other."""
    import tensorflow as tf

    from cmnas_tf.serving.encoder import Encoder
    from cmnas_tf.serving.reading_images import read_files

    form = model.specification
    encoder = Encoder(model.network, form, frozen=True)
    read = partial(read_files, height=form.height, width=form.width)
    embed = tf.function(lambda files: encoder.embed(read(files), "visible"), autograph=False)
    embed = embed.get_concrete_function(tf.TensorSpec([None], tf.string))
    files, found = sorted((folder / "people").rglob("*.jpg")), []
    for start in range(0, len(files), AT_A_TIME):
        content = [file.read_bytes() for file in files[start : start + AT_A_TIME]]
        found.append(embed(tf.constant(content)).numpy())
    np.save(folder / f"{number}.npy", np.concatenate(found))


def bulk(model: Any, folder: Path, number: str) -> None:
    """As ``cmnas embed`` does it."""
    from cmnas_tf.serving.embed_in_bulk import embed_in_bulk

    output = folder / f"{number}.parquet"
    embed_in_bulk(model, folder / "people", output, part_images=IMAGES // 4, progress=False)


def _measured(variant: str, folder: Path, number: str) -> dict[str, float]:
    import tensorflow as tf

    from cmnas_tf.training.trained import load_network

    tf.config.threading.set_intra_op_parallelism_threads(1)
    model, begun = load_network(folder / "network.safetensors"), time.process_time()
    globals()[variant](model, folder, number)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    return {"cpu_s": time.process_time() - begun, "memory_mb": memory}


if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps(_measured(sys.argv[1], Path(sys.argv[2]), sys.argv[3])))
    else:
        main()
