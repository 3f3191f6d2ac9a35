"""The nodes of a Ray cluster, which do the same to many things."""

import itertools
import logging
import os
import re
import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from cmnas_tf.devices.threads import use_threads
from cmnas_tf.errors import BadInput
from cmnas_tf.extras import needing

S = TypeVar("S")
T = TypeVar("T")

logger = logging.getLogger("cmnas_tf")

_TRIES = 5  # of a task whose node, or process, is lost
_SECONDS = 5  # until an address must answer, and from one look for lost nodes to the next
# Variables that a node's process gets from this one, since a result may depend on them.
_OURS = re.compile("PYTHONPATH|(TF|XLA|CMNAS_TF)_.*")


class RayNodes:
    """The nodes of a cluster.

    Args:
      address: HOST:PORT of the cluster; "": that of RAY_ADDRESS, or the one that runs here.
      threads, gpus: that a task uses; 0 threads: one.

    Raises:
      BadInput: there is no such cluster, or a task asks for more than any node has.
    """

    def __init__(self, address: str = "", threads: int = 1, gpus: float = 0.0):
        self._ray = ray = _connected(address or os.environ.get("RAY_ADDRESS", "") or "auto")
        wanted = {"CPU": max(1, threads), "GPU": gpus}
        rooms = [
            int(min(node["Resources"].get(kind, 0) // n for kind, n in wanted.items() if n))
            for node in ray.nodes()
            if node["Alive"]
        ]
        if not any(rooms):
            raise BadInput(
                f"A task asks for {wanted['CPU']} CPUs and {gpus:g} GPUs, which no node of the Ray "
                "cluster has. Ask for fewer, or start a node that has them."
            )
        self._at_a_time = 2 * sum(rooms)  # so that none waits for this process
        ours = {name: value for name, value in os.environ.items() if _OURS.fullmatch(name)}
        self._task = ray.remote(_on_node).options(
            num_cpus=wanted["CPU"],
            num_gpus=gpus,
            max_retries=_TRIES,
            runtime_env={"env_vars": ours},
        )
        self._threads = wanted["CPU"]

    def each(self, function: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
        """``function`` of every item, in the order in which they are done.

        A task is a plain one of Ray, which is done again elsewhere when its node is lost; the
        processes of a node stay from one task to the next, and may keep what takes long to load.

        Raises:
          BadInput: a node said so, or cannot do such a task; what is done stays done.
        """
        coming, nodes = iter(items), self._alive()
        running: set[Any] = set()
        while True:
            for item in itertools.islice(coming, self._at_a_time - len(running)):
                running.add(self._task.remote(function, item, self._threads))
            if not running:
                return
            done, _ = self._ray.wait([*running], timeout=_SECONDS)
            lost, nodes = nodes - self._alive(), self._alive()
            for node in sorted(lost):
                logger.warning("The node %s is lost; what it had begun is done elsewhere.", node)
            for one in done:
                running.remove(one)
                yield self._result(one)

    def _alive(self) -> set[str]:
        return {n["NodeManagerAddress"] for n in self._ray.nodes() if n["Alive"]}

    def _result(self, task: Any) -> Any:
        try:
            return self._ray.get(task)
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, BadInput | OSError | ImportError):
                raise BadInput(str(error.cause)) from error
            raise
        except self._ray.exceptions.RayError as error:
            raise BadInput(
                f"A task was lost {_TRIES + 1} times ({str(error).splitlines()[0]}). What is done "
                "is kept; look at the nodes, and rerun the same command to resume."
            ) from error


def _on_node(function: Callable[[S], T], item: S, threads: int) -> T:
    use_threads(threads, 0)
    try:
        return function(item)
    except (BadInput, OSError) as error:
        raise BadInput(f"On the node {socket.gethostname()}: {error}") from error


def _connected(address: str) -> Any:
    """The package ``ray``, connected; at once or not at all, where Ray would try for minutes."""
    with needing("ray"):
        import ray
    try:
        if address != "auto":
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), _SECONDS).close()
        ray.init(address, log_to_driver=False, logging_level="error", ignore_reinit_error=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise BadInput(
            f"ray_address={address}: no Ray cluster answers there ({error}). Start one with `ray "
            "start` on each node, this machine too."
        ) from error
    return ray
