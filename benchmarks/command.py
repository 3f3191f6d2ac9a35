"""The train command on generated JPEG files: its first step, its pace, how busy the GPU is."""

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
FULL = ["--identities_per_batch=16", "--images_per_identity=4", "--epochs=10"]
SMALL = ["--identities_per_batch=2", "--images_per_identity=2", "--epochs=1", "--width=0.25"]
SMALL += ["--image_height=64", "--image_width=32", "--architecture=separate"]
_STAMP = "%Y/%m/%d %H:%M:%S.%f"  # of nvidia-smi, local time
WARM = 20  # steps after which its pace counts


def measure(small: bool) -> dict[str, Any]:
    """Two runs of the same training; what the first compiled is there for the second.

    Args:
      small: whether of tiny images.

    Returns:
      Of each run, ``cold`` and ``warm``: ``first_step_s`` from the start of the command,
      ``step_ms`` (median, and mean), and ``gpu_in_use`` in percent, None without a GPU.
    """
    with TemporaryDirectory(prefix="cmnas_tf_benchmark_") as folder:
        people = [f"--data_dir={folder}/people"]
        few = ["--train_identities=4", "--test_identities=2", "--images_per_camera=1"]
        _run("make_synthetic", "--dataset=sysu_mm01", *people, *(few if small else PEOPLE))
        found = {}
        for name in ("cold", "warm"):
            how = [
                *people,
                f"--run_dir={folder}/{name}",
                "--checkpoint_every=1000",
                *(SMALL if small else FULL),
            ]
            found[name] = _timed(Path(folder, name), "train", "--backbone=resnet50", *how)
            print(f"train command, {name}: {found[name]}", flush=True)
    return found


def _run(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "cmnas_tf", *words], check=True, capture_output=True)


def _timed(run_dir: Path, *words: str) -> dict[str, Any]:
    begin = time.time()
    with _watched_gpu() as seen:
        _run(*words)
    times = _wall_times(run_dir)
    steady = times[WARM:] if len(times) > 2 * WARM else times
    used = [percent for stamp, percent in seen if steady[0] <= stamp <= steady[-1]]
    gaps = [after - before for before, after in pairwise(steady)]
    return {
        "first_step_s": times[0] - begin,
        "step_ms": 1e3 * median(gaps),
        "mean_step_ms": 1e3 * mean(gaps),
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
