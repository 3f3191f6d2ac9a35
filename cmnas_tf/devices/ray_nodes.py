"""The nodes of a Ray cluster, which do the same to many things."""

import logging
import os
import re
import socket
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from itertools import islice
from typing import Any, TypeVar

import cmnas_tf
from cmnas_tf.devices.threads import use_threads
from cmnas_tf.errors import BadInput
from cmnas_tf.extras import needing

S = TypeVar("S")
T = TypeVar("T")

logger = logging.getLogger("cmnas_tf")

_RETRIES = 5  # of a task whose node, or process, is lost
_SECONDS = 5  # until an address must answer, and from one look for lost nodes to the next
_OURS = re.compile("PYTHONPATH|(TF|XLA|CMNAS_TF)_.*")


class RayNodes:
    """The nodes of a cluster.

    Args:
      address: HOST:PORT of the cluster; "": that of RAY_ADDRESS, or the one that runs here.
      threads, gpus: that a task uses.

    Raises:
      BadInput: there is no such cluster, or a task asks for more than any node has.
    """

    def __init__(self, address: str = "", threads: int = 1, gpus: float = 0.0):
        self._ray = ray = connected(address)
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        fits = [n for n in nodes if n.get("CPU", 0) >= threads and n.get("GPU", 0) >= gpus]
        if not fits:
            raise BadInput(
                f"A task asks for {threads} CPUs and {gpus:g} GPUs, which no node of the Ray "
                "cluster has. Ask for fewer, or start a node that has them."
            )
        self._at_a_time = 2 * int(sum(n["CPU"] for n in fits) // threads)  # so that none waits
        self._task = ray.remote(_on_node).options(
            num_cpus=threads,
            num_gpus=gpus,
            max_retries=_RETRIES,
            runtime_env={"env_vars": environment()},
        )
        self._given = threads, versions()

    def each(self, function: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
        """``function`` of every item, in the order in which they are done.

        Tasks are plain ones of Ray, which does them again elsewhere when a node is lost. A node's
        processes stay from one task to the next, and may keep what takes long to load.

        Raises:
          BadInput: a node said so, or cannot do such a task; what is done stays done.
        """
        coming, nodes = iter(items), self._alive()
        running: set[Any] = set()
        while True:
            some = islice(coming, self._at_a_time - len(running))
            running |= {self._task.remote(function, item, *self._given) for item in some}
            if not running:
                return
            done, _ = self._ray.wait([*running], timeout=_SECONDS)
            for lost in sorted(nodes - (nodes := self._alive())):
                logger.warning("The node %s is lost; what it had begun is done elsewhere.", lost)
            for task in done:
                running.remove(task)
                yield self._result(task)

    def _alive(self) -> set[str]:
        return {node["NodeManagerAddress"] for node in self._ray.nodes() if node["Alive"]}

    def _result(self, task: Any) -> Any:
        try:
            return self._ray.get(task)
        except self._ray.exceptions.RayError as error:
            cause = getattr(error, "cause", error)
            said = str(cause) if isinstance(cause, BadInput) else str(error).strip()
            raise BadInput(
                f"{said}\nWhat is done is kept; mend this, and rerun the same command to resume."
            ) from error


def _on_node(function: Callable[[S], T], item: S, threads: int, wanted: str) -> T:
    use_threads(threads, 0)
    try:
        if wanted != versions():
            raise BadInput(f"It has {versions()}, not {wanted}. Install the same there.")
        return function(item)
    except (BadInput, OSError) as error:
        raise BadInput(f"On the node {socket.gethostname()}: {error}") from error


def connected(address: str) -> Any:
    """The package ``ray``, connected; or soon an error, where Ray by itself tries for minutes.

    Args:
      address: HOST:PORT of the cluster; "": that of RAY_ADDRESS, or the one that runs here.
    """
    os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "1")
    os.environ.setdefault("RAY_py_gcs_connect_timeout_s", str(_SECONDS))
    with needing("ray"):
        import ray
    address = address or os.environ.get("RAY_ADDRESS", "") or "auto"
    try:
        if address != "auto":
            host, _, port = address.rpartition(":")
            if not port.isdecimal():
                raise ValueError("it is not HOST:PORT")
            socket.create_connection((host, int(port)), _SECONDS).close()
        context = ray.init(
            address, log_to_driver=False, logging_level="error", ignore_reinit_error=True
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise BadInput(
            f"ray_address={address} cannot be used: {error}. Start a cluster with `ray start` on "
            "each node, of which this machine must be one."
        ) from error
    if context.dashboard_url:
        logger.info("Ray's dashboard: http://%s", context.dashboard_url)
    return ray


def environment() -> dict[str, str]:
    """Variables that a node's process gets from this one, since a result may depend on them."""
    return {name: value for name, value in os.environ.items() if _OURS.fullmatch(name)}


def versions() -> str:
    """What has to be the same everywhere; Ray sees to it that it and Python are."""
    return f"cmnas_tf {cmnas_tf.__version__} with TensorFlow {version('tensorflow')}"
