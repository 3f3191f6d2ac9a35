"""The commands on generated JPEG files: the first step, the pace, how busy the GPU is."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory
from typing import Any

# In SYSU-MM01's layout: 1,280 visible and 640 infrared images of 288x144, 21 steps an epoch.
PEOPLE = ["--train_identities=64", "--test_identities=2", "--images_per_camera=5"]
PEOPLE += ["--image_height=288", "--image_width=144"]
FULL = ["--identities_per_batch=16", "--images_per_identity=4"]
SMALL = ["--identities_per_batch=2", "--images_per_identity=2", "--width=0.25"]
SMALL += ["--image_height=64", "--image_width=32"]
# The words of each command besides, in full and small. A search updates its weights alone at first.
COMMANDS = {
    "train": (["--epochs=10"], ["--epochs=1", "--architecture=separate"]),
    "search": (["--epochs=12", "--warmup_epochs=4"], ["--epochs=2", "--warmup_epochs=1"]),
}
_STAMP = "%Y/%m/%d %H:%M:%S.%f"  # of nvidia-smi, local time


def measure(command: str, small: bool) -> dict[str, dict[str, Any]]:
    """Two runs of the same command; what the first compiled is there for the second.

    Args:
      command: ``"train"`` or ``"search"``.
      small: whether of tiny images.

    Returns:
      Of each run, as ``"train, cold"`` and ``"train, warm"``: ``first_step_s`` from the start of
      the command, ``row_ms``, the median step of the last half, and ``mean_ms``, ``gpu_in_use``
      meanwhile in percent, None without a GPU, and ``longest_wait_s`` between two steps of the run.
    """
    found: dict[str, dict[str, Any]] = {}
    with TemporaryDirectory(prefix="cmnas_tf_benchmark_") as folder:
        people = [f"--data_dir={folder}/people"]
        few = ["--train_identities=4", "--test_identities=2", "--images_per_camera=2"]
        _run("make_synthetic", "--dataset=sysu_mm01", *people, *(few if small else PEOPLE))
        how = [*people, "--backbone=resnet50", "--checkpoint_every=1000"]
        how += [*(SMALL if small else FULL), *COMMANDS[command][small]]
        for temper in ("cold", "warm"):
            run_dir, name = Path(folder, temper), f"{command}, {temper}"
            try:
                found[name] = _timed(run_dir, command, f"--run_dir={run_dir}", *how)
            except subprocess.CalledProcessError as error:
                found[name] = {"unavailable": error.stderr.decode()[-2000:]}
            print(f"{name}: {found[name]}", flush=True)
    return found


def _run(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "cmnas_tf", *words], check=True, capture_output=True)


def _timed(run_dir: Path, *words: str) -> dict[str, Any]:
    begin = time.time()
    with _watched_gpu() as seen:
        _run(*words)
    times = _wall_times(run_dir)
    steady = times[len(times) // 2 :]
    used = [percent for stamp, percent in seen if steady[0] <= stamp <= steady[-1]]
    gaps = [after - before for before, after in pairwise(steady)]
    return {
        "first_step_s": times[0] - begin,
        "longest_wait_s": max(after - before for before, after in pairwise(times)),
        "row_ms": 1e3 * median(gaps),
        "mean_ms": 1e3 * mean(gaps),
        "gpu_in_use": mean(used) if used else None,
    }


@contextmanager
def _watched_gpu() -> Iterator[list[tuple[float, float]]]:
    """Fills, at the end, the list it gives: the time, and the GPU's use in percent; every 0.1 s."""
    seen: list[tuple[float, float]] = []
    if shutil.which("nvidia-smi") is None:
        yield seen
        return
    ask = ["nvidia-smi", "--query-gpu=timestamp,utilization.gpu", "-lms", "100"]
    with subprocess.Popen(
        [*ask, "--format=csv,noheader,nounits"], stdout=subprocess.PIPE, text=True
    ) as watching:
        yield seen
        watching.terminate()
        for line in watching.communicate()[0].splitlines():
            stamp, _, percent = line.partition(", ")
            seen.append((datetime.strptime(stamp, _STAMP).timestamp(), float(percent)))


def _wall_times(run_dir: Path) -> list[float]:
    """When TensorBoard was told of each step."""
    import tensorflow as tf

    (file,) = run_dir.rglob("events.out.*")
    at: dict[int, float] = {}
    for event in tf.compat.v1.train.summary_iterator(str(file)):
        if event.summary.value:
            at.setdefault(event.step, event.wall_time)
    return [at[step] for step in sorted(at)]
