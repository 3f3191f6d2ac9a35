"""What a GPU did during some runs: how many kernels, for how long, and of which kind."""

import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.worker import Run

# A kernel's kind by what its name contains; the first that fits.
KINDS = {
    "convolution": ("conv", "xmma", "cutlass", "wgrad", "dgrad", "fprop", "winograd"),
    "matrix product": ("gemm", "nvjet", "matmul"),
    "layout": ("transpose", "nchwToNhwc", "nhwcToNchw", "SwapDimension"),
    "norm": ("bn_", "batch_norm", "BatchNorm"),
    "reduction": ("reduce", "Reduce"),
    "copy": ("memcpy", "Memcpy", "Memset", "memset"),
    "optimizer": ("Adam", "Momentum", "multi_tensor"),
}


def of_tensorflow(run: Run, count: int) -> dict[str, Any]:
    """By TensorFlow's profiler; without a GPU no kernel is found.

    Returns:
      Of one run: ``kernels``; ``busy_ms``, of any of them; ``ms_by_kind``; ``longest_ms``, of the
      kernels that took most, by name.
    """
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with TemporaryDirectory() as folder:
        quiet = tf.profiler.experimental.ProfilerOptions(host_tracer_level=1, python_tracer_level=0)
        tf.profiler.experimental.start(folder, options=quiet)
        _some(run, count)
        tf.profiler.experimental.stop()
        (file,) = Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(file.read_bytes())
    spans = [
        (
            plane.event_metadata[event.metadata_id].name,
            line.timestamp_ns / 1e6 + event.offset_ps / 1e9,
            event.duration_ps / 1e9,
        )
        for plane in space.planes
        if plane.name.startswith("/device:GPU")
        for line in plane.lines
        if line.name.startswith("Stream")
        for event in line.events
    ]
    return _summary(spans, count)


def of_torch(run: Run, count: int) -> dict[str, Any]:
    """The same by PyTorch's profiler."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
        _some(run, count)
    spans = [
        (event.name, event.time_range.start / 1e3, event.time_range.elapsed_us() / 1e3)
        for event in seen.events()
        if str(event.device_type).endswith("CUDA")
    ]
    return _summary(spans, count)


def _some(run: Run, count: int) -> None:
    for _ in range(count):
        found = run()
    if callable(found):
        found()
    time.sleep(0.1)  # for the profiler to hear of the last kernels


def _summary(spans: Iterable[tuple[str, float, float]], count: int) -> dict[str, Any]:
    by_kind: Counter[str] = Counter()
    by_name: Counter[str] = Counter()
    busy, end, kernels = 0.0, -1.0, 0
    for name, start, length in sorted(spans, key=lambda span: span[1]):
        kernels += 1
        by_kind[_kind(name)] += length
        by_name[name] += length
        busy += max(start + length - max(start, end), 0.0)
        end = max(end, start + length)
    return {
        "kernels": kernels / count,
        "busy_ms": busy / count,
        "ms_by_kind": {kind: total / count for kind, total in by_kind.most_common()},
        "longest_ms": {name: total / count for name, total in by_name.most_common(20)},
    }


def _kind(name: str) -> str:
    return next((kind for kind, marks in KINDS.items() if any(m in name for m in marks)), "other")
