"""``python -m benchmarks.serving_hostile --model_base_path=runs/demo/export``: what should hurt.

One client sends the local server requests that are malformed, lie about their size or ask for much,
by gRPC and by REST. Each must be answered, or refused as the client's fault in a sentence. Writes
how long each kind took, and the server's memory, to ``benchmarks/results/serving_hostile.json``.
"""

import argparse
import io
import itertools
import shutil
import struct
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.machine import machine
from benchmarks.serving_load import (
    DEADLINE,
    MODEL,
    jpeg,
    newest_version,
    resident_megabytes,
    serving,
)
from cmnas_tf.files import write_json
from cmnas_tf.serving.call_error import CallError
from cmnas_tf.serving.client.grpc_transport import GrpcTransport
from cmnas_tf.serving.client.remote_model import Transport
from cmnas_tf.serving.client.rest_transport import RestTransport
from cmnas_tf.tables import table

RESULT = Path(__file__).parent / "results" / "serving_hostile.json"
SECONDS = 2.0  # that nothing may take
SIDE = 4096  # the largest that an image may have
FILES, PIXELS = "embed_visible", "embed_visible_pixels"

Request = tuple[str, dict[str, np.ndarray]]


def main() -> None:
    """Attacks the server and shows what came out."""
    name = "python -m benchmarks.serving_hostile"
    parser = argparse.ArgumentParser(prog=name, description=__doc__)
    parser.add_argument("--model_base_path", type=Path, required=True, help="of an exported model")
    parser.add_argument("--each", type=int, default=300, help="random requests of each kind")
    parser.add_argument("--output", type=Path, default=RESULT, help=f"default: {RESULT}")
    options = parser.parse_args()
    result = attack(options.model_base_path, options.each)
    write_json(options.output, {**result, "machine": machine()})
    rows = [["", "answered", "refused", "longest ms"]]
    for kind, seen in result["kinds"].items():
        longest = f"{seen['longest_ms']:.0f}"
        rows.append([kind, str(seen["answered"]), str(seen["refused"]), longest])
    memory = result["memory"]
    print(
        f"{table(rows)}\n\n{len(result['faults'])} faults; memory {memory['before_megabytes']:.0f} "
        f"MB before, {memory['most_megabytes']:.0f} MB at most\nwritten to {options.output}"
    )
    sys.exit(1 if result["faults"] else 0)


def attack(base: Path, each: int) -> dict[str, Any]:
    """Serves a model's newest version in a process of its own, and attacks it.

    Args:
      base: folder of the model's versions.
      each: random requests of each kind.

    Returns:
      ``kinds`` with ``answered``, ``refused`` and ``longest_ms`` that was waited for one;
      ``faults``; ``memory``.
    """
    kinds: dict[str, dict[str, float]] = {}
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(newest_version(base), Path(folder, "1"))
        with serving(Path(folder)) as (process, grpc_port, rest_port):
            ways: dict[str, Transport] = {
                "gRPC": GrpcTransport(f"127.0.0.1:{grpc_port}", MODEL),
                "REST": RestTransport(f"127.0.0.1:{rest_port}", MODEL),
            }
            good = {"image_bytes": np.array([jpeg(_noise(1, 128, 64)[0])], object)}
            before = most = resident_megabytes(process.pid)
            for (kind, requests), way in itertools.product(KINDS.items(), ways):
                seen = {"answered": 0, "refused": 0, "longest_ms": 0.0}
                for signature, inputs in requests(each):
                    start = _waited()
                    found, fault = _ask(ways[way], signature, inputs)
                    took = 1000 * (_waited() - start)
                    seen["longest_ms"] = max(seen["longest_ms"], took)
                    seen[found] += 1
                    most = max(most, resident_megabytes(process.pid))
                    faults += [f"{kind}, {way}: {fault}"] if fault else []
                kinds[f"{kind}, {way}"] = seen
                if seen["longest_ms"] > 1000 * SECONDS:
                    faults.append(f"{kind}, {way}: {seen['longest_ms']:.0f} ms")
            faults += [fault for way in ways.values() if (fault := _ask(way, FILES, good)[1])]
            for way in ways.values():
                way.close()
    return {
        "kinds": kinds,
        "faults": faults,
        "memory": {"before_megabytes": before, "most_megabytes": most},
    }


def _waited() -> float:
    """The time, in seconds, but for what this process computed: as JSON a request that is far too
    large is written for longer than it is refused."""
    return time.perf_counter() - time.process_time()


def _ask(transport: Transport, signature: str, inputs: dict[str, np.ndarray]) -> tuple[str, str]:
    """Whether it was answered or refused, and what is wrong with that."""
    try:
        transport.predict(signature, inputs, DEADLINE)
        return "answered", ""
    except CallError as error:
        is_right = error.code == "INVALID_ARGUMENT" and "{{" not in error.sentence
        return "refused", "" if is_right else f"{error.code}: {error.sentence[:200]}"


def _noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)


def _files(*contents: bytes) -> Request:
    return FILES, {"image_bytes": np.array(contents, object)}


def shapes(each: int) -> Iterator[Request]:
    """Good pixels, of another size each time."""
    random = np.random.default_rng(1)
    for _ in range(each):
        count, height, width = random.integers([1, 8, 8], [4, 600, 600])
        yield PIXELS, {"pixels": _noise(count, height, width)}


def ranks(each: int) -> Iterator[Request]:
    """Numbers and files in a form that no image has."""
    for rank in range(7):
        yield PIXELS, {"pixels": np.zeros((8,) * rank, np.uint8)}
        yield FILES, {"image_bytes": np.full((2,) * rank, b"x", object)}
    for channels in (0, 1, 2, 4):
        yield PIXELS, {"pixels": np.zeros((1, 64, 32, channels), np.uint8)}


def damaged(each: int) -> Iterator[Request]:
    """Files with some other bytes, or cut short."""
    random, whole = np.random.default_rng(2), jpeg(_noise(1, 128, 64)[0])
    for number in range(each):
        content = np.frombuffer(whole, np.uint8).copy()
        places = random.integers(len(content), size=random.integers(1, 20))
        content[places] = random.integers(0, 256, len(places))
        kept = len(content) if number % 2 else random.integers(len(content))
        yield _files(content[:kept].tobytes())


def bombs(each: int) -> Iterator[Request]:
    """Small files of large images, and headers that promise more than follows."""
    stream = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE)).save(stream, "PNG", compress_level=9)
    large = stream.getvalue()
    yield _files(*[large] * 64)
    yield _files(*[large] * 2)
    for side in (SIDE + 1, 30_000, 2**31 - 1):
        header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        chunk = b"IHDR" + header
        crc = struct.pack(">I", zlib.crc32(chunk))
        yield _files(large[:8] + struct.pack(">I", 13) + chunk + crc + large[33:])
        yield _files(b"BM" + struct.pack("<IIIIii", 54, 0, 54, 40, side, side) + bytes(28))


def many(each: int) -> Iterator[Request]:
    """More images, or more pixels, than a request may have."""
    small = jpeg(_noise(1, 8, 8)[0])
    for count in (257, 1000, 5000):
        yield _files(*[small] * count)
        yield PIXELS, {"pixels": _noise(count, 8, 8)}
    yield PIXELS, {"pixels": np.zeros((2, 3300, 3300, 3), np.uint8)}  # 65 MB; as JSON 131 MB


KINDS: dict[str, Callable[[int], Iterator[Request]]] = {
    "other shapes": shapes,
    "ranks and channels": ranks,
    "damaged files": damaged,
    "bombs": bombs,
    "too many": many,
}


if __name__ == "__main__":
    main()
