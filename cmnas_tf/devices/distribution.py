"""Devices: which ones, and what has to be summed over them.

The mathematics is that of one device: embeddings are gathered before the loss, so every replica
computes the loss of the whole batch, and this file is the only place where a gradient is divided by
the number of replicas and summed over them.
"""

import functools
import gc
import logging
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import tensorflow as tf

from cmnas_tf.data.pipeline import Share
from cmnas_tf.data.sampling import Sampling
from cmnas_tf.devices import xla
from cmnas_tf.devices.cluster import Cluster
from cmnas_tf.devices.devices import Devices
from cmnas_tf.devices.gpus import on_gpus
from cmnas_tf.devices.workers import cluster_of
from cmnas_tf.errors import BadInput
from cmnas_tf.interrupt import signals_handled_by
from cmnas_tf.models import Embeddings

logger = logging.getLogger(__name__)


def make_strategy(
    devices: Devices | tf.distribute.Strategy | None = None, deterministic: bool = False
) -> tf.distribute.Strategy:
    """The strategy that is asked for. Call it first of all.

    Args:
      devices: which ones, by default all GPUs; or a strategy, which is used as it is.
      deterministic: whether operations without a deterministic kernel are refused from now on.

    Raises:
      BadInput: the CPU was in use before it could be cut, or TF_CONFIG cannot be used.
    """
    if isinstance(devices, tf.distribute.Strategy):
        if tf.distribute.has_strategy() or devices is not tf.distribute.get_strategy():
            return devices
        devices = Devices(strategy="one_device")  # TensorFlow's default one, which names no device
    devices = devices or Devices()
    xla.set_flags()
    gpus = tf.config.list_physical_devices("GPU")
    # With it on, equal runs in two processes were seen to differ in the last bit of some gradients;
    # with it off they were not. A resumed run must end as if it had not been interrupted.
    tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    if devices.strategy in ("auto", "multi_worker") and not devices.logical_devices:
        cluster = Cluster.of_environment()
        if cluster is not None:
            cluster.check_port()
            logger.info("%s; it begins when all are there", cluster)
            with signals_handled_by(signal.SIG_DFL):  # Python would not hear them while it waits
                return tf.distribute.MultiWorkerMirroredStrategy()
        if devices.strategy == "multi_worker":
            raise BadInput(
                "strategy=multi_worker finds no cluster in the environment variable TF_CONFIG; "
                "set it for each process, see docs/devices.md, or give strategy=mirrored."
            )
    os.environ.pop("TF_CONFIG", None)  # TensorFlow reads it for every strategy
    # Mirrored variables of one device are summed over it, each by itself: that takes time to trace,
    # and in a step that XLA compiled each time.
    alone = devices.strategy == "auto" and not devices.logical_devices and len(gpus) < 2
    if devices.strategy == "one_device" or alone:
        return tf.distribute.OneDeviceStrategy("GPU:0" if gpus else "CPU:0")
    if devices.logical_devices:
        return _mirrored_over_parts(devices.logical_devices)
    return _mirrored()


@functools.cache
def _mirrored() -> tf.distribute.Strategy:
    """The one of this process: a second one sums over the first one's groups, and fails where its
    gradients have other shapes."""
    return tf.distribute.MirroredStrategy()


def _mirrored_over_parts(count: int) -> tf.distribute.Strategy:
    cpu = tf.config.list_physical_devices("CPU")[0]
    parts = [tf.config.LogicalDeviceConfiguration() for _ in range(count)]
    try:
        tf.config.set_logical_device_configuration(cpu, parts)
    except RuntimeError as error:
        raise BadInput(f"logical_devices={count}: {error}") from error
    return tf.distribute.MirroredStrategy(
        [f"CPU:{i}" for i in range(count)],
        # The default, collectives, is for devices that compute at the same time.
        cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )


def check_division(strategy: tf.distribute.Strategy, sampling: Sampling, identities: int) -> None:
    """Makes sure that the identities of a batch can be dealt out evenly.

    Args:
      strategy: over whose replicas.
      sampling: P and K; an identity's K images stay together.
      identities: how many there are to draw from.

    Raises:
      BadInput: they cannot; the message says which P could.
    """
    parts, p = strategy.num_replicas_in_sync, sampling.identities_per_batch
    if p % parts == 0:
        return
    fit = [n for n in (p // parts * parts, -(-p // parts) * parts) if 2 <= n <= identities]
    advice = f"give {' or '.join(map(str, fit))}" if fit else f"there are {identities} in all"
    fewer = max(n for n in range(1, min(p, parts) + 1) if p % n == 0)
    raise BadInput(
        f"identities_per_batch={p} cannot be divided over {parts} devices, whatever "
        f"images_per_identity={sampling.images_per_identity} is; {advice}, or use {fewer} of the "
        "devices."
    )


def distributed_batches(
    strategy: tf.distribute.Strategy,
    batches: Callable[[Share], tf.data.Dataset],
    ahead: int,
) -> Iterator[Any]:
    """The batches of a run, each replica's share on its device.

    Args:
      strategy: over whose replicas.
      batches: gives those for a share of the devices.
      ahead: batches that a GPU is given before they are used.
    """
    count = len(strategy.extended.worker_devices)
    share = Share(count * cluster_of(strategy).index, count, strategy.num_replicas_in_sync)
    if on_gpus(strategy):
        options = tf.distribute.InputOptions(experimental_per_replica_buffer_size=ahead)
        yield from strategy.distribute_datasets_from_function(lambda _: batches(share), options)
        return
    # Nothing is to be copied, and TensorFlow's own iterator over devices autotunes itself, whose
    # end may be slept through: see the data's pipeline.
    for parts in zip(*[iter(batches(share))] * count, strict=True):
        yield strategy.experimental_distribute_values_from_function(
            lambda context, parts=parts: parts[context.replica_id_in_sync_group % count]
        )


def first_replica(values: Any) -> Any:
    """Of values that every replica computed equally, one; for each leaf of a structure."""
    strategy = tf.distribute.get_strategy()
    return tf.nest.map_structure(lambda x: strategy.experimental_local_results(x)[0], values)


def compiled_on(strategy: tf.distribute.Strategy, by_xla: bool = False) -> Callable[..., Any]:
    """Gives ``run(function, *values)``: ``function`` on every replica, and what one of them gives.

    Each function is a graph of its own, made when it is first run and kept.

    Args:
      strategy: on whose replicas; it hands each its part of distributed values.
      by_xla: whether XLA compiles the graphs, see :func:`cmnas_tf.devices.xla.compiles`.
    """

    @functools.cache
    def graph_of(function: Callable[..., Any]) -> Callable[..., Any]:
        def on_all(*values: Any) -> Any:
            return first_replica(strategy.run(function, values))

        return as_graph(on_all, strategy, by_xla)

    return lambda function, *values: graph_of(function)(*values)


def as_graph(
    function: Callable[..., Any], strategy: tf.distribute.Strategy, by_xla: bool = False
) -> Callable[..., Any]:
    """``function`` as a graph, traced when it is first called; it branches on no tensor.

    Args:
      strategy: what it runs on.
      by_xla: whether XLA compiles it, for the one device of the strategy.
    """

    # To look for branches takes seconds. So does to look through all of a growing graph for garbage
    # time and again: there is none in it.
    @tf.function(autograph=False, jit_compile=by_xla or None)
    @functools.wraps(function)
    def graph(*values: Any) -> Any:
        collected = gc.isenabled()
        gc.disable()
        try:
            return function(*values)
        finally:
            if collected:
                gc.enable()

    if not by_xla:
        return graph

    # A program that XLA compiled finds no variable of another device than its own.
    def compiled(*values: Any) -> Any:
        with tf.device(strategy.extended.worker_devices[0]):
            return graph(*values)

    return compiled


def map_over_replicas(strategy: tf.distribute.Strategy) -> Callable[..., Iterable[Any]]:
    """The built-in ``map`` of tensors, with one of them on each device of this process at a time.

    Args:
      strategy: on whose devices; what the function reads was made in its scope.

    Returns:
      ``each(function, tensors)``, which gives the results in the order of the tensors.
    """
    count = len(strategy.extended.worker_devices)
    if count == 1:
        return map

    def each(
        function: Callable[[tf.Tensor], tf.Tensor], tensors: Iterable[tf.Tensor]
    ) -> Iterator[tf.Tensor]:
        run = tf.function(
            lambda values: strategy.run(function, (values,)), autograph=False, reduce_retracing=True
        )
        remaining = iter(tensors)
        while group := list(islice(remaining, count)):
            # The last ones may be too few: the devices left over do the last one once more.
            dealt = group + group[-1:] * (count - len(group))
            values = strategy.experimental_distribute_values_from_function(
                lambda context, dealt=dealt: dealt[context.replica_id_in_sync_group % count]
            )
            yield from strategy.experimental_local_results(run(values))[: len(group)]

    return each


def gather_batch(
    outputs: Mapping[str, Embeddings], labels: tf.Tensor
) -> tuple[dict[str, Embeddings], tf.Tensor]:
    """The whole batch's embeddings and labels, from each replica's share, differentiably."""
    replica = tf.distribute.get_replica_context()
    if replica.num_replicas_in_sync == 1:
        return dict(outputs), labels

    fields = [field for part in outputs.values() for field in part]  # each [n, D or C]
    widths = [field.shape[1] for field in fields]
    whole = iter(tf.split(_gather(tf.concat(fields, axis=1)), widths, axis=1))
    parts = {
        modality: Embeddings(*(next(whole) for _ in Embeddings._fields)) for modality in outputs
    }
    # As floats, which every kind of collective takes; exact up to 2^24 identities.
    numbers = _gather(tf.cast(labels, tf.float32)[:, None])[:, 0]
    return parts, tf.cast(numbers, labels.dtype)


def _gather(share: tf.Tensor) -> tf.Tensor:
    """The rows of all replicas in their order, [replicas * n, D]; of each ``share``, [n, D].

    As the sum of what each replica has in its place and zeros elsewhere: ``all_gather`` of TF 2.15
    fails in a graph of several workers, and so does its gradient for several shapes.
    """
    replica = tf.distribute.get_replica_context()
    n, replicas = share.shape[0], replica.num_replicas_in_sync
    before = n * replica.replica_id_in_sync_group
    placed = tf.pad(share, [[before, n * (replicas - 1) - before], [0, 0]])
    summed = replica.all_reduce(tf.distribute.ReduceOp.SUM, placed)
    return tf.ensure_shape(summed, [n * replicas, share.shape[1]])


def gradient_of_batch(
    tape: tf.GradientTape, loss: tf.Tensor, variables: Sequence[tf.Variable]
) -> list[tf.Tensor]:
    """The gradient of the whole batch's loss, the same on every replica.

    Args:
      tape: recorded the computation of ``loss`` from this replica's share of the batch.
      loss: the whole batch's loss, computed from gathered embeddings on every replica.
      variables: what to differentiate for.
    """
    replica = tf.distribute.get_replica_context()
    # Gathering sums the replicas' equal losses on the way back, hence the division.
    share = tf.constant(1.0 / replica.num_replicas_in_sync, loss.dtype)
    gradients = tape.gradient(loss, variables, share, unconnected_gradients="zero")
    if replica.num_replicas_in_sync == 1:
        return gradients
    return replica.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
