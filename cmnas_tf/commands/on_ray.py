"""Cells on the nodes of a Ray cluster, each in a process of its own as on this machine.

Only words travel: a node runs the same command line in the same folder, and reads and writes the
same paths. So all that makes a cell resume, and keeps a second process out of it, is as it is here.
"""

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from cmnas_tf.commands.executor import Words, say
from cmnas_tf.devices import ray_nodes
from cmnas_tf.devices.gpus import shared_out
from cmnas_tf.errors import BadInput
from cmnas_tf.studies.queue import QueuedCell

_ATTEMPTS = 10  # to work on a cell, whose nodes are lost
_POLL_SECONDS = 0.2


def starter(
    words: Words,
    environment: Mapping[str, str],
    data: Sequence[str],
    address: str,
    threads: int,
    gpus: float,
) -> tuple[Callable[[QueuedCell], "_Task"], int]:
    """What starts a cell's process on a node, and how many the nodes have room for at a time.

    Args:
      words: of a cell.
      environment: variables of its process.
      data: paths that it reads.
      address: of the cluster; "" for that of RAY_ADDRESS, or of this machine.
      threads, gpus: of a cell; no GPUs where no node has any.

    Raises:
      BadInput: no cluster can be reached, or a cell asks for more than any node has.
    """
    ray = ray_nodes.connected(address)
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    most = {kind: max(node.get(kind, 0) for node in nodes) for kind in ("CPU", "GPU")}
    gpus = gpus if most["GPU"] else 0
    room = sum(_room(node, threads, gpus) for node in nodes)
    if not room:
        raise BadInput(
            f"A cell of threads={threads} and gpus_per_cell={gpus:g} asks for more than any node "
            f"of the Ray cluster has; they have up to {most['CPU']:g} CPUs and {most['GPU']:g} "
            "GPUs. Give fewer, or start a node that has them."
        )
    say(f"Ray has room for {room} cells at a time, on {len(nodes)} nodes")
    # A lost node is seen and said here, so Ray shall not try again by itself.
    task = ray.remote(_on_node()).options(num_cpus=threads, num_gpus=gpus, max_retries=0)

    def start(cell: QueuedCell) -> _Task:
        cell.folder.mkdir(parents=True, exist_ok=True)
        cell.log_file.touch()
        paths = [str(path.absolute()) for path in (Path(), cell.log_file, *map(Path, data))]
        variables = {**ray_nodes.environment(), **environment}
        given = [*words(cell)], variables, paths, ray_nodes.versions()
        return _Task(cell.name, partial(task.remote, *given))

    return start, room


class _Task:
    """What a node does, seen from here as ``subprocess.Popen`` is."""

    def __init__(self, name: str, begin: Callable[[], Any]):
        self._name, self._begin = name, begin
        self._attempt, self._task = 1, begin()

    def poll(self) -> int | None:
        """The exit code of the command, once it has ended.

        Raises:
          BadInput: something is wrong with a node.
        """
        import ray

        if not ray.wait([self._task], timeout=0)[0]:
            return None
        try:
            found = ray.get(self._task)
        except ray.exceptions.RayTaskError:
            raise
        except ray.exceptions.RayError as error:
            again = self._attempt < _ATTEMPTS
            reason = str(error).partition(", node ID")[0].splitlines()[0]
            say(f"{self._name} was lost{' and resumes elsewhere' * again}: {reason}")
            if again:
                self._attempt, self._task = self._attempt + 1, self._begin()
            return None if again else 1
        if isinstance(found, str):
            raise BadInput(f"{found} Then rerun the same command to resume.")
        return found

    def send_signal(self, number: int, /) -> None:
        """Asks the command to save what it did, and to end."""
        import ray

        ray.cancel(self._task)

    def wait(self) -> None:
        """Waits until the command has ended."""
        import ray

        ray.wait([self._task])


def _room(resources: Mapping[str, float], threads: int, gpus: float) -> int:
    """How many cells a node has room for."""
    cells = int(resources.get("CPU", 0)) // threads
    cards = ["GPU"] * int(resources.get("GPU", 0))
    return min(cells, len(shared_out(cards, gpus)) if len(cards) >= gpus else 0) if gpus else cells


def _on_node() -> Callable[..., int | str]:
    """What a node does; gives the command's exit code, or what is wrong with the node.

    A function within one is sent as code and not as a name, so that a node without this package can
    say so.
    """

    def work(
        words: Sequence[str], environment: Mapping[str, str], paths: Sequence[str], wanted: str
    ) -> int | str:
        import ray

        node, (folder, log, *_) = f"The node {ray.util.get_node_ip_address()}", paths
        try:
            for path in map(Path, paths):
                # Where nothing is mounted there may be an empty folder.
                if not path.exists() or (path.is_dir() and not any(path.iterdir())):
                    return f"{node} cannot see {path}. Mount its storage there by the same path."
            os.chdir(folder)
            Path(log).open("ab").close()
        except OSError as error:
            return f"{node}: {error}. See to it that it may."
        try:
            from cmnas_tf.commands.processes import start_command
            from cmnas_tf.devices.ray_nodes import versions

            found = versions()
        except ImportError as error:
            found = str(error)
        if found != wanted:
            return f"{node} must have {wanted}. Received: {found}. Install it there."
        # Ray cancels by interrupting, which a node that was started in the background ignores.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with Path(log).open("ab") as output:
            process = start_command(*words, output=output, environment=environment)
        try:
            while process.poll() is None:
                time.sleep(_POLL_SECONDS)
        except KeyboardInterrupt:
            process.terminate()
        return process.wait()

    return work
