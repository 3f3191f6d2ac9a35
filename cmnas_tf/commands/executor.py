"""Where work is done, on this machine or on the nodes of a Ray cluster, and what starts it."""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from cmnas_tf.commands.processes import start_command
from cmnas_tf.devices.gpus import shared_out, visible_gpus
from cmnas_tf.options import Options, advanced, option
from cmnas_tf.studies.queue import Process, QueuedCell

if TYPE_CHECKING:
    from cmnas_tf.devices.ray_nodes import RayNodes

say = partial(print, flush=True)
Words = Callable[[QueuedCell], Sequence[str]]  # a command and its flags, which work on a cell


@dataclass(frozen=True, kw_only=True)
class Where(Options):
    """Where the work is done."""

    executor: str = option(
        "local",
        "Where it is done: local, on this machine; ray, on the nodes of a Ray cluster.",
        choices=("local", "ray"),
        affects_result=False,
    )
    ray_address: str = advanced(
        "",
        "HOST:PORT of a Ray cluster that this machine is a node of; by default RAY_ADDRESS, or the "
        "cluster that runs here.",
        affects_result=False,
    )

    def nodes(self, threads: int, gpus: float = 0.0) -> "RayNodes | None":
        """Those of the cluster, each of whose tasks uses so much; None: it is done here.

        Raises:
          BadInput: there is no such cluster, or no node has so much.
        """
        if self.executor == "local":
            return None
        # Or this process takes all the memory of a GPU that its node's tasks need.
        os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
        from cmnas_tf.devices.ray_nodes import RayNodes

        return RayNodes(self.ray_address, threads, gpus)


@dataclass(frozen=True, kw_only=True)
class Executor(Where):
    """Where the cells of a study are worked on, and trials."""

    jobs: int = option(
        0,
        "Cells that are worked on at a time, each in a process of `threads` threads. 0: one here, "
        "on a cluster as many as it has room for.",
        minimum=0,
        affects_result=False,
    )
    gpus_per_cell: float = advanced(
        1.0,
        "GPUs that a cell sees, where there are GPUs; below 1, several cells share one.",
        minimum=0.01,
        affects_result=False,
    )

    def prepare(
        self, words: Words, threads: int, data: Sequence[str]
    ) -> tuple[Callable[[QueuedCell], Process], int]:
        """What starts a cell, whose process writes to the cell's log; and how many at a time.

        Args:
          words: of a cell.
          threads: of each cell.
          data: paths that a cell reads.

        Raises:
          BadInput: nothing has room for a cell, or no cluster can be reached.
        """
        environment = {"OMP_NUM_THREADS": str(threads)}  # NumPy's, too
        if int(1 / self.gpus_per_cell) > 1:
            environment["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"  # or the first takes all the memory
        if self.executor == "ray":
            from cmnas_tf.commands import on_ray

            asked = self.ray_address, threads, self.gpus_per_cell
            start, room = on_ray.starter(words, environment, data, *asked)
            return start, self.jobs or room
        jobs = self.jobs or 1
        if places := shared_out(visible_gpus(), self.gpus_per_cell):
            jobs = min(jobs, len(places))
            say(f"--jobs={jobs}: the GPUs have room for {len(places)} cells at a time")
        return starter(words, environment, places), jobs


def starter(
    words: Words, environment: Mapping[str, str], places: Sequence[str] = ()
) -> Callable[[QueuedCell], Process]:
    """Starts a cell's process on this machine.

    Args:
      words: of a cell.
      environment: variables of its process besides those of this one.
      places: the GPUs of as many cells as there may be at a time; () where there are none.
    """
    at_work: dict[int, subprocess.Popen] = {}

    def start(cell: QueuedCell) -> Process:
        free = [n for n in range(len(places)) if n not in at_work or at_work[n].poll() is not None]
        cell.folder.mkdir(parents=True, exist_ok=True)
        seen = {"CUDA_VISIBLE_DEVICES": places[free[0]]} if free else {}
        with cell.log_file.open("ab") as log:
            process = start_command(*words(cell), output=log, environment={**environment, **seen})
        if free:
            at_work[free[0]] = process
        return process

    return start
