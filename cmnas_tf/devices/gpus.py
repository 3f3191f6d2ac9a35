"""The GPUs of this machine, and how processes share them."""

import itertools
import os
import shutil
import subprocess
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cmnas_tf.errors import BadInput

if TYPE_CHECKING:
    import tensorflow as tf


def on_gpus(strategy: "tf.distribute.Strategy") -> bool:
    """Whether GPUs compute what a strategy distributes."""
    return any("GPU" in device for device in strategy.extended.worker_devices)


def memory_in_use(strategy: "tf.distribute.Strategy") -> dict[str, float]:
    """By TensorBoard's name GiB: the most that one of this process's GPUs has held so far; where
    none computes, what the process holds now."""
    if not on_gpus(strategy):
        import psutil

        return {"memory/process": psutil.Process().memory_info().rss / 2**30}
    import tensorflow as tf

    count = len(tf.config.list_logical_devices("GPU"))
    infos = [tf.config.experimental.get_memory_info(f"GPU:{n}") for n in range(count)]
    return {"memory/peak_of_gpu": max(info["peak"] for info in infos) / 2**30}


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, by what names them in ``CUDA_VISIBLE_DEVICES``."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        if shutil.which("nvidia-smi") is None:
            return []
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True).stdout
        return [str(n) for n in range(sum(line.startswith("GPU ") for line in listed.splitlines()))]
    names = map(str.strip, visible.split(","))
    # CUDA sees none of those behind one that it does not know.
    return list(itertools.takewhile(lambda name: name not in ("", "-1"), names))


def shared_out(gpus: Sequence[str], each: float) -> list[str]:
    """``CUDA_VISIBLE_DEVICES`` of each process that the GPUs have room for at a time.

    Args:
      gpus: their names.
      each: GPUs of a process; below 1, several processes share one.

    Raises:
      BadInput: more than there are, or a number that is neither whole nor below 1.
    """
    if each > 1 and each != int(each):
        raise BadInput(
            f"gpus_per_cell={each:g} is no share of a GPU, and no number of them. Give a whole "
            "number, or one below 1."
        )
    if each > len(gpus) > 0:
        raise BadInput(
            f"gpus_per_cell={each:g} are more GPUs than the {len(gpus)} that are visible here. "
            f"Give at most {len(gpus)}, or look at CUDA_VISIBLE_DEVICES."
        )
    if each < 1:
        return [*gpus] * int(1 / each)
    size = int(each)
    return [",".join(gpus[n : n + size]) for n in range(0, len(gpus) - size + 1, size)]
