"""TF_CONFIG: which processes compute a run together; checked before TensorFlow waits for them."""

import json
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cmnas_tf.errors import BadInput

_JOBS = ("chief", "worker")
_ADDRESS = re.compile(r".+:\d{1,5}")
_FORM = (
    'Its form is {"cluster": {"worker": ["host:port", "host:port"]}, '
    '"task": {"type": "worker", "index": 0}}; only the index differs from process to process.'
)


@dataclass(frozen=True)
class Cluster:
    """The processes ("workers") of a run, the same list in each of them."""

    addresses: tuple[str, ...]  # "host:port" of each; the first is the chief, who writes
    index: int  # which one this process is

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] = os.environ) -> "Cluster | None":
        """What TF_CONFIG says; None where it is not set or lists no cluster.

        Raises:
          BadInput: it cannot be read, or does not say which of the processes this one is.
        """
        text = environment.get("TF_CONFIG", "")
        try:
            found = json.loads(text or "{}")
            jobs, task = found.get("cluster") or {}, found.get("task") or {}
            addresses = {job: list(jobs[job]) for job in jobs}
            kind: Any = task.get("type")
            index: Any = task.get("index")
        except (ValueError, AttributeError, TypeError) as error:
            raise BadInput(f"TF_CONFIG={text} cannot be read ({error}). {_FORM}") from error
        if not addresses:
            return None
        problem = _problem(addresses, kind, index)
        if problem:
            raise BadInput(f"TF_CONFIG={text}: {problem}. {_FORM}")
        ordered = [address for job in _JOBS for address in addresses.get(job, ())]
        before = len(addresses.get("chief", ())) if kind == "worker" else 0
        return cls(tuple(ordered), before + index)

    def check_port(self) -> None:
        """Makes sure that this process can listen where the others will look for it.

        Raises:
          BadInput: the port is taken, or not this user's to take. TensorFlow would wait for ever.
        """
        address = self.addresses[self.index]
        with socket.socket() as probe:
            # As TensorFlow's server does: connections of a process that was killed do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", int(address.rpartition(":")[2])))
            except (OSError, OverflowError) as error:
                raise BadInput(
                    f"TF_CONFIG gives this process {address}, where it cannot listen ({error}). "
                    "End the process that does, or give another port in every TF_CONFIG."
                ) from error

    def __str__(self) -> str:
        others = [address for place, address in enumerate(self.addresses) if place != self.index]
        role = f"worker {self.index} of {len(self.addresses)}"
        return f"{role}, with {', '.join(others)}" if others else role


def _problem(addresses: Mapping[str, list[Any]], kind: Any, index: Any) -> str:
    """What is wrong with a cluster and a task, or nothing."""
    unknown = [job for job in addresses if job not in _JOBS]
    if unknown:
        return f"the cluster has jobs {', '.join(unknown)}; it takes worker, and one chief"
    listed = [address for job in addresses.values() for address in job]
    bad = [address for address in listed if not _ADDRESS.fullmatch(str(address))]
    if bad:
        return f"{bad[0]!r} is no host:port"
    if len(set(listed)) < len(listed):
        return "an address is listed twice"
    if len(addresses.get("chief", ())) > 1:
        return "there is more than one chief"
    if kind not in list(addresses):
        return f"the task's type is {kind!r}, which the cluster does not list"
    count = len(addresses[kind])
    if type(index) is not int or not 0 <= index < count:
        return f"the task's index is {index!r}; the cluster has {count} of {kind}, counted from 0"
    return ""
