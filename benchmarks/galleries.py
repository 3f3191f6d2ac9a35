"""``python -m benchmarks.galleries``: a large gallery in FAISS and in the store.

Entries are scattered around people, 50 each: vectors without any structure would have no neighbours
that are worth finding. Each gallery is built in one process and searched in another, one after the
other. Writes ``benchmarks/results/galleries.json``.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.machine import machine
from cmnas_tf.files import write_json
from cmnas_tf.serving.faiss_index import FaissIndex
from cmnas_tf.serving.gallery import Gallery
from cmnas_tf.serving.searchable import open_searchable
from cmnas_tf.serving.store import Store
from cmnas_tf.tables import table

RESULT = Path(__file__).parent / "results" / "galleries.json"
KINDS = {"flat": "flat.faiss", "hnsw": "hnsw.faiss", "store": "store.lance"}
EFFORTS = {"flat": [1], "hnsw": [32, 64, 128], "store": [8, 32, 64]}
EACH, NOISE, CAMERAS = 50, 1.0, 6  # entries of a person; standard deviation beside the centres' 1
QUERIES, K, BLOCK, CHANGED = 100, 10, 10_000, 100


def main() -> None:
    """Builds and searches each kind, and shows the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.galleries", description=__doc__)
    parser.add_argument("entries", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=2048, help="of an embedding")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--folder", help="for what is built; needs 3 times the embeddings' size")
    parser.add_argument("--output", type=Path, default=RESULT, help=f"default: {RESULT}")
    options = parser.parse_args()
    kept = json.loads(options.output.read_text()) if options.output.exists() else {}
    rows = [
        ["", "built s", "MB", "opened s", "effort", "query ms", "CPU ms", "recall@10", "memory MB"]
    ]
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        write_people(Path(folder), options.entries, options.size)
        for kind in options.kinds:
            seen = _in_a_process("build", kind, folder) | _in_a_process("search", kind, folder)
            name = f"{kind}, {options.entries} x {options.size}"
            kept[name] = {**seen, "machine": machine()}
            write_json(options.output, kept)
            first = [name] + [f"{seen[key]:.1f}" for key in ("built_s", "disk_mb", "opened_s")]
            for effort, found in seen["efforts"].items():
                times = [f"{found[key]:.1f}" for key in ("query_ms", "query_cpu_ms")]
                recall, memory = f"{found['recall']:.3f}", f"{seen['memory_mb']:.0f}"
                rows.append([*first, effort, *times, recall, memory])
                first = [""] * len(first)
            subprocess.run(["rm", "-r", Path(folder) / KINDS[kind]], check=True)
    print(f"{table(rows)}\n\nwritten to {options.output}")


def write_people(folder: Path, entries: int, size: int) -> None:
    """Writes embeddings, queries that show the same people, and what an exact search finds."""
    random = np.random.default_rng(0)
    centres = random.standard_normal((max(1, entries // EACH), size), np.float32)

    def of_people(count: int) -> np.ndarray:
        noise = NOISE * random.standard_normal((count, size), np.float32)
        rows = centres[random.integers(len(centres), size=count)] + noise
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    queries, scores = of_people(QUERIES), np.full((QUERIES, 0), 0, np.float32)
    best = np.empty((QUERIES, 0), int)
    written = np.lib.format.open_memmap(
        folder / "embeddings.npy", "w+", np.float32, (entries, size)
    )
    for start in range(0, entries, BLOCK):
        rows = of_people(min(BLOCK, entries - start))
        written[start : start + len(rows)] = rows
        scores = np.concatenate([scores, queries @ rows.T], axis=1)
        best = np.concatenate([best, np.tile(start + np.arange(len(rows)), (QUERIES, 1))], axis=1)
        order = np.argsort(-scores, axis=1)[:, :K]
        scores, best = (np.take_along_axis(each, order, axis=1) for each in (scores, best))
    written.flush()
    np.savez(folder / "queries.npz", queries=queries, best=best)


def build(kind: str, folder: Path) -> dict[str, Any]:
    """Makes a gallery of this kind, in this process."""
    embeddings = np.load(folder / "embeddings.npy", mmap_mode="r")
    gallery, path = _gallery(np.arange(len(embeddings)), embeddings), folder / KINDS[kind]
    start, start_cpu = time.perf_counter(), time.process_time()
    if kind == "store":
        Store.create(path, gallery.network, embeddings.shape[1]).change(gallery)
    else:
        FaissIndex.of(gallery, kind).save(path)
    built, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    disk = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return {"built_s": built, "built_cpu_s": cpu, "disk_mb": disk / 1e6}


def search(kind: str, folder: Path) -> dict[str, Any]:
    """Opens it, asks one query after the other with each effort, and changes a store."""
    with np.load(folder / "queries.npz") as archive:
        queries, best = archive["queries"], archive["best"].astype(str)
    start = time.perf_counter()
    opened = open_searchable(folder / KINDS[kind])
    opened.search(queries[:1], K)
    seen: dict[str, Any] = {"opened_s": time.perf_counter() - start, "efforts": {}}
    for effort in EFFORTS[kind]:
        times, found, start_cpu = [], [], time.process_time()
        searched = type(opened)(**{**vars(opened), "effort": effort})  # type: ignore[arg-type]
        for query in queries:
            start = time.perf_counter()
            found.append(searched.search(query[None], K).ids[0])
            times.append(time.perf_counter() - start)
        cpu = 1000 * (time.process_time() - start_cpu) / len(queries)
        shared = [len({*a} & {*b}) for a, b in zip(found, best, strict=True)]
        seen["efforts"][str(effort)] = {
            "query_ms": 1000 * median(times),
            "query_cpu_ms": cpu,
            "recall": sum(shared) / best.size,
        }
    status = Path("/proc/self/status").read_text().split("RssAnon:")[1]
    seen["memory_mb"] = int(status.split()[0]) / 1000
    if isinstance(opened, Store):
        fresh = _gallery(10**9 + np.arange(CHANGED), queries[:CHANGED])
        start = time.perf_counter()
        opened.change(fresh, [_name(number) for number in range(CHANGED)])
        seen["changed_s"] = time.perf_counter() - start
    return seen


def _gallery(numbers: np.ndarray, embeddings: np.ndarray) -> Gallery:
    names = np.array([_name(number) for number in numbers])
    cameras = (numbers % CAMERAS).astype(str)
    modalities = np.full(len(numbers), "visible")
    return Gallery("a network", embeddings, names, numbers.astype(str), cameras, modalities)


def _name(number: int) -> str:
    return f"visible/cam{number % CAMERAS}/{number}/a.png"


def _in_a_process(part: str, kind: str, folder: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.galleries", part, kind, folder]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    if sys.argv[1:2] in (["build"], ["search"]):
        print(json.dumps(globals()[sys.argv[1]](sys.argv[2], Path(sys.argv[3]))))
    else:
        main()
