"""``python -m benchmarks.serving_load --model_base_path=runs/demo/export``: a server under load.

Eight clients ask the local server for ten minutes, by gRPC and REST and through every signature the
model has, while the version is swapped three times. A tenth of what they ask is bad, and must be
refused. Nothing is retried, every answer is compared with the first one, and the server's memory is
written down. Writes ``benchmarks/results/serving_load.json``.
"""

import argparse
import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.machine import machine
from cmnas_tf.files import replacing, write_json
from cmnas_tf.serving.call_error import CallError
from cmnas_tf.serving.client.grpc_transport import GrpcTransport
from cmnas_tf.serving.client.remote_model import Transport
from cmnas_tf.serving.client.rest_transport import RestTransport
from cmnas_tf.tables import table

RESULT = Path(__file__).parent / "results" / "serving_load.json"
MODEL = "reid"
DEADLINE = 60.0  # seconds
BAD = 0.1  # share of the requests
TOLERANCE = 1e-5  # of two answers to the same question
SAMPLE_SECONDS = 2.0  # between two looks at the memory


def main() -> None:
    """Loads the server and shows what came out."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving_load", description=__doc__)
    parser.add_argument("--model_base_path", type=Path, required=True, help="of an exported model")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--swaps", type=int, default=3, help="of the version, spread over the time")
    parser.add_argument("--output", type=Path, default=RESULT, help=f"default: {RESULT}")
    options = parser.parse_args()
    result = load(options.model_base_path, options.seconds, options.clients, options.swaps)
    result["machine"] = machine()
    write_json(options.output, result)
    rows = [["", "requests", "median ms", "99 % ms", "longest ms"]]
    for name, seen in result["signatures"].items():
        shown = [f"{seen[key]:.1f}" for key in ("median_ms", "percentile_99_ms", "longest_ms")]
        rows.append([name, str(seen["requests"]), *shown])
    memory = result["memory"]
    print(
        f"{table(rows)}\n\n{result['requests']} requests, {len(result['failures'])} failed, "
        f"{len(result['swaps'])} swaps\nmemory {memory['early_megabytes']:.0f} MB early, "
        f"{memory['late_megabytes']:.0f} MB late\nwritten to {options.output}"
    )
    sys.exit(1 if result["failures"] else 0)


def load(base: Path, seconds: float, clients: int, swaps: int, least: int = 0) -> dict[str, Any]:
    """Serves a copy of a model's newest version in a process of its own, and loads it.

    Args:
      base: folder of the model's versions.
      seconds: how long.
      least: requests that there are at least, however long they take.
      clients: how many ask at the same time, half of them by gRPC and half by REST.
      swaps: how often the version is replaced, by a copy of itself.

    Returns:
      ``requests``, ``failures``, ``swaps``, latencies by signature, memory over time; JSON-ready.
    """
    newest = newest_version(base)
    with tempfile.TemporaryDirectory() as folder:
        served = Path(folder)
        shutil.copytree(newest, served / "1")
        with serving(served) as (process, grpc_port, rest_port):
            transports: list[Transport] = [
                GrpcTransport(f"127.0.0.1:{grpc_port}", MODEL)
                if number % 2
                else RestTransport(f"127.0.0.1:{rest_port}", MODEL)
                for number in range(clients)
            ]
            signatures = transports[0].signatures(DEADLINE)
            questions = _questions(signatures)
            # The first answers; they also make every signature ready.
            expected = [transports[0].predict(name, inputs, DEADLINE) for name, inputs in questions]
            asked = _Asked(questions, expected, time.monotonic() + seconds, least)
            threads = [
                threading.Thread(target=asked.keep_asking, args=(transport, number))
                for number, transport in enumerate(transports)
            ]
            start = time.monotonic()
            for thread in threads:
                thread.start()
            memory, swapped = [], []
            while any(thread.is_alive() for thread in threads):
                passed = time.monotonic() - start
                memory.append([round(passed, 1), round(resident_megabytes(process.pid), 1)])
                if len(swapped) < swaps and passed > (len(swapped) + 1) * seconds / (swaps + 1):
                    with replacing(served / str(len(swapped) + 2)) as aside:
                        shutil.copytree(newest, aside)
                    swapped.append(round(passed, 1))
                time.sleep(min(SAMPLE_SECONDS, seconds / 20))
            seconds = time.monotonic() - start
            answering = transports[0].signatures(DEADLINE).keys() == signatures.keys()
            for transport in transports:
                transport.close()
    return {
        "seconds": seconds,
        "clients": clients,
        "requests": asked.requests,
        "requests_per_second": asked.requests / seconds,
        "failures": asked.failures + ([] if answering else ["signatures changed"]),
        "swaps": swapped,
        "signatures": {name: _latency(ms) for name, ms in sorted(asked.milliseconds.items())},
        "memory": _memory(memory),
    }


def newest_version(base: Path) -> Path:
    """Of a model's versions the folder with the highest number."""
    return max((p for p in base.iterdir() if p.name.isdecimal()), key=lambda p: int(p.name))


class _Asked:
    """What all clients ask, and what they saw."""

    def __init__(
        self,
        questions: list[tuple[str, dict[str, np.ndarray]]],
        expected: list[dict[str, np.ndarray]],
        end: float,
        least: int,
    ):
        self._questions, self._expected = questions, expected
        self._end, self._least = end, least
        self.milliseconds: dict[str, list[float]] = {}
        self.failures: list[str] = []
        self._lock = threading.Lock()

    @property
    def requests(self) -> int:
        """How many there were so far."""
        with self._lock:
            return sum(map(len, self.milliseconds.values()))

    def keep_asking(self, transport: Transport, client: int) -> None:
        """Asks questions in a random order until the time is over and there were enough."""
        random = np.random.default_rng(client)
        kind = type(transport).__name__.removesuffix("Transport").lower()
        while time.monotonic() < self._end or self.requests < self._least:
            number = random.integers(len(self._questions))
            name, inputs = self._questions[number]
            is_bad = random.random() < BAD
            start = time.perf_counter()
            try:
                answer = transport.predict(name, _spoiled(inputs) if is_bad else inputs, DEADLINE)
                failure = _difference(answer, self._expected[number])
                failure = "answered what was bad" if is_bad else failure
            except CallError as error:
                is_right = is_bad and error.code == "INVALID_ARGUMENT"
                failure = "" if is_right else f"{error.code}: {error}"
            milliseconds = 1000 * (time.perf_counter() - start)
            with self._lock:
                asked = f"{'refused' if is_bad else name} {kind}"
                self.milliseconds.setdefault(asked, []).append(milliseconds)
                if failure:
                    self.failures.append(f"{name} {kind}: {failure}")


def _questions(signatures: dict[str, list[str]]) -> list[tuple[str, dict[str, np.ndarray]]]:
    """Batches of 1 and of 3 images for each signature that is known."""
    random = np.random.default_rng(0)
    questions = []
    for name in sorted(name for name in signatures if not name.startswith("__")):
        for count in (1, 3):
            pixels = random.integers(0, 256, (count, 128, 64, 3), np.uint8)
            modalities = random.choice([b"visible", b"infrared"], count).astype(object)
            values = {
                "image_bytes": np.array([jpeg(image) for image in pixels], dtype=object),
                "pixels": pixels,
                "modality": modalities,
                "camera": np.array([b""] * count, dtype=object),
                "k": np.full(count, 1, np.int32),
            }
            questions.append((name, {key: values[key] for key in signatures[name]}))
    return questions


def _spoiled(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Pixels of one channel, or files of which half is missing."""
    if "pixels" in inputs:
        return {**inputs, "pixels": inputs["pixels"][..., :1]}
    half = [content[: len(content) // 2] for content in inputs["image_bytes"]]
    return {**inputs, "image_bytes": np.array(half, dtype=object)}


def jpeg(pixels: np.ndarray) -> bytes:
    """The file of an image, [H, W, 3] uint8."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG")
    return stream.getvalue()


def _difference(answer: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> str:
    for key, wanted in expected.items():
        same = answer[key].shape == wanted.shape and (
            np.array_equal(answer[key], wanted)
            if wanted.dtype == object
            else np.allclose(answer[key], wanted, rtol=0, atol=TOLERANCE)
        )
        if not same:
            return f"{key} is not what it was at first"
    return ""


@contextlib.contextmanager
def serving(base: Path) -> Iterator[tuple[subprocess.Popen[str], int, int]]:
    """The local server in a process, with its gRPC and REST ports; ended on leaving the context."""
    command = [sys.executable, "-m", "export.local_server", f"--model_base_path={base}"]
    command += ["--port=0", "--rest_api_port=0", f"--model_name={MODEL}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            found = None
            for line in process.stdout:
                if found := re.search(r"gRPC on \S+:(\d+), REST on http://[^/]+:(\d+)/", line):
                    break
            if found is None:
                raise RuntimeError("The server ended; see above.")
            threading.Thread(target=process.stdout.read, daemon=True).start()  # or it would fill
            yield process, int(found[1]), int(found[2])
        finally:
            process.terminate()


def resident_megabytes(pid: int) -> float:
    """Memory that a process holds."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _latency(milliseconds: list[float]) -> dict[str, float]:
    return {
        "requests": len(milliseconds),
        "median_ms": float(np.median(milliseconds)),
        "percentile_99_ms": float(np.percentile(milliseconds, 99)),
        "longest_ms": max(milliseconds),
    }


def _memory(samples: list[list[float]]) -> dict[str, Any]:
    """Of the server; early and late are medians of the second tenth and of the last one."""
    sizes = [size for _, size in samples]
    tenth = max(len(sizes) // 10, 1)
    return {
        "early_megabytes": float(np.median(sizes[tenth : 2 * tenth] or sizes)),
        "late_megabytes": float(np.median(sizes[-tenth:])),
        "most_megabytes": max(sizes),
        "seconds_and_megabytes": samples,
    }


if __name__ == "__main__":
    main()
