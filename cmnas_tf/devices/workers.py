"""Several processes, one run: who writes, what they must agree on, and what if one is gone."""

import contextlib
import json
import signal
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from cmnas_tf.devices.cluster import Cluster
from cmnas_tf.errors import BadInput, WorkerLost
from cmnas_tf.interrupt import SIGNALS

_LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.DeadlineExceededError)


def cluster_of(strategy: tf.distribute.Strategy) -> Cluster:
    """The processes that a strategy spans; a cluster of one without addresses for most."""
    spans_workers = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    found = Cluster.of_environment() if spans_workers else None
    return found or Cluster(("",), 0)


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes."""
    return cluster_of(strategy).index == 0


def gather_rows(strategy: tf.distribute.Strategy, rows: np.ndarray) -> np.ndarray:
    """The rows of all workers, one worker's after the other's; each worker must call it.

    Slow, since TensorFlow makes a graph for each call: not for every step.

    Args:
      strategy: over whose processes.
      rows: this worker's, [n, ...], n >= 1; the other axes and the dtype are the same for all.

    Returns:
      [sum of n, ...].
    """
    if len(cluster_of(strategy).addresses) == 1:
        return rows
    devices = len(strategy.extended.worker_devices)
    shares = np.array_split(rows, devices)
    own = strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(shares[context.replica_id_in_sync_group % devices])
    )
    return strategy.gather(own, axis=0).numpy()


def check_agreement(
    strategy: tf.distribute.Strategy, find: Callable[[], Mapping[str, Any]]
) -> None:
    """Makes sure that the same holds for all workers; each must call it.

    Args:
      strategy: over whose processes.
      find: gives the facts by name, JSON-ready; called where there are several workers.

    Raises:
      BadInput: on every worker, naming each fact that differs and every worker's value.
    """
    if len(cluster_of(strategy).addresses) == 1:
        return
    facts = find()
    text = json.dumps(facts).encode() + b"\n"
    gathered = gather_rows(strategy, np.frombuffer(text, np.uint8).astype(np.int32))
    said = [json.loads(line) for line in gathered.astype(np.uint8).tobytes().splitlines()]
    differing = [name for name in facts if any(each.get(name) != facts[name] for each in said)]
    if differing:
        with contextlib.suppress(*_LOST):  # who ends first would take the facts from the others
            gather_rows(strategy, np.zeros([1], np.int32))
        values = "; ".join(
            (f"`{name}`: " if name.isidentifier() else f"{name}: ")
            + ", ".join(f"{each.get(name)!r} on worker {i}" for i, each in enumerate(said))
            for name in differing
        )
        raise BadInput(
            f"The workers of TF_CONFIG differ in {values}. Start all of them alike, "
            "on the same images, and with one `run_dir` that all of them can read."
        )


def wait_for_all(strategy: tf.distribute.Strategy) -> None:
    """Returns when every worker has called it: what the chief wrote before is there by then."""
    check_agreement(strategy, lambda: {"done": True})


def agreed_signal(
    strategy: tf.distribute.Strategy, own: signal.Signals | None
) -> signal.Signals | None:
    """The signal that asked any of the workers to stop; each must call it, after the same step."""
    if len(cluster_of(strategy).addresses) == 1:
        return own
    votes = _sum(strategy, tf.constant([float(own is asked) for asked in SIGNALS])).numpy()
    return next((asked for asked, count in zip(SIGNALS, votes, strict=True) if count), None)


@tf.function(autograph=False)
def _sum(strategy: tf.distribute.Strategy, values: tf.Tensor) -> tf.Tensor:
    """Over all replicas; in a graph made once, since it is computed after each step."""

    def in_replica() -> tf.Tensor:
        replica = tf.distribute.get_replica_context()
        # Its own copy has a device, where the sum goes.
        return replica.all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(values))

    return strategy.experimental_local_results(strategy.run(in_replica))[0]


@contextlib.contextmanager
def naming_lost_workers() -> Iterator[None]:
    """Turns TensorFlow's error for a worker that is gone into :class:`WorkerLost`."""
    try:
        yield
    except _LOST as error:
        told = [line for line in error.message.splitlines() if "aborted by" in line]
        reason = told[0] if told else type(error).__name__
        raise WorkerLost(
            f"Another worker of TF_CONFIG ended, or cannot be reached ({reason}). What it wrote "
            "says why. The last checkpoint is kept: start all workers again to resume from there."
        ) from error
