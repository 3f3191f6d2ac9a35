"""``python -m benchmarks.scale``: what 10 million and a billion images need, by arithmetic.

A ResNet-50: 2,048 numbers an embedding. ``docs/scale.md`` shows the table.
"""

import json
from pathlib import Path
from typing import Any

from cmnas_tf.tables import table

RESULTS = Path(__file__).parent / "results"
IMAGES = {"10 million": 10**7, "1 billion": 10**9}
NUMBERS = 2048  # of an embedding
PART = 8192  # images, the default
BATCH = 128  # images, of what was measured on a GPU
CODE = 64 + 8  # bytes of a compressed entry, and of its number
TEXT = 100  # bytes of an image's path, id, camera, modality and time; a guess


def rows() -> list[list[str]]:
    """The table: what is needed, and how much of it for each number of images."""
    gpu = _read("NVIDIA-H100-80GB-HBM3")["variants_of_an_earlier_run"]
    bulk, galleries = _read("bulk")["images_per_cpu_second"]["bulk"], _read("galleries")
    hnsw, store = (galleries[f"{kind}, 1000000 x {NUMBERS}"] for kind in ("hnsw", "store"))
    decoded = (
        2048
        / _read("AMD-EPYC")["comparisons"]["pipeline"]["timings"][
            "benchmarks.pipeline:decoding_alone"
        ]["seconds_median"]
    )  # of 2,048 images, on two cores
    gpu_paces = {
        name: 1000 * BATCH / gpu[f"benchmarks.steps:embed?xla=on{words}"]["row_ms"]
        for name, words in (("float32", ""), ("bfloat16", "&precision=bfloat16"))
    }
    found = [["", *IMAGES]]

    def add(what: str, each: float, unit: str) -> None:
        """A row of what an image needs, times their number."""
        found.append([what, *(_shown(each * count, unit) for count in IMAGES.values())])

    add("parts of 8,192 images", 1 / PART, "")
    add("embeddings, float32", 4 * NUMBERS + TEXT, "B")
    add("embeddings, float16", 2 * NUMBERS + TEXT, "B")
    for name, pace in gpu_paces.items():
        add(f"hours of a GPU, {name}", 1 / pace / 3600, "h")
    add("hours of a core", 1 / bulk / 3600, "h")
    add("hours of a core that decodes", 2 / decoded / 3600, "h")
    add("FAISS, flat or HNSW: disk, and memory", hnsw["disk_mb"], "B")
    add("FAISS, IVF-PQ: disk, and memory", CODE + TEXT, "B")
    add("HNSW: hours of a core", hnsw["built_cpu_s"] / 1e6 / 3600, "h")
    add("store: disk", store["disk_mb"], "B")
    add("store: hours of a core", store["built_cpu_s"] / 1e6 / 3600, "h")
    lost = PART / gpu_paces["float32"], PART / bulk
    found.append(["a lost process, at most: a GPU's", *[_shown(lost[0] / 3600, "h")] * 2])
    found.append(["a lost process, at most: a core's", *[_shown(lost[1] / 3600, "h")] * 2])
    return found


def _shown(amount: float, unit: str) -> str:
    if unit == "h" and amount < 1:
        return f"{3600 * amount:.1f} s" if amount < 1 / 60 else f"{60 * amount:.0f} min"
    for size, prefix in ((1e12, "TB"), (1e9, "GB")):
        if unit == "B" and amount >= size:
            return f"{amount / size:.1f} {prefix}"
    return f"{amount:,.{0 if amount >= 100 or not unit else 1}f}{f' {unit}' if unit else ''}"


def _read(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text())


if __name__ == "__main__":
    print(table(rows()))
