"""Devices: which ones, and what has to be summed over them.

The mathematics is that of one device: embeddings are gathered before the loss, so every replica
computes the loss of the whole batch, and this file is the only place where a gradient is divided by
the number of replicas and summed over them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from cmnas_tf.errors import BadInput
from cmnas_tf.models import Embeddings


def make_strategy(logical_devices: int = 0) -> tf.distribute.Strategy:
    """A MirroredStrategy over all GPUs, or over the CPU. Call it once per process, first of all.

    Args:
      logical_devices: cut the CPU into this many devices; 0 leaves it whole.

    Raises:
      BadInput: the CPU was in use before it could be cut.
    """
    # With it on, equal runs in two processes were seen to differ in the last bit of some gradients;
    # with it off they were not. A run that goes on must end as if it had not been interrupted.
    tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})
    if logical_devices:
        cpu = tf.config.list_physical_devices("CPU")[0]
        parts = [tf.config.LogicalDeviceConfiguration() for _ in range(logical_devices)]
        try:
            tf.config.set_logical_device_configuration(cpu, parts)
        except RuntimeError as error:
            raise BadInput(f"--logical_devices={logical_devices}: {error}") from error
        return tf.distribute.MirroredStrategy(
            [f"CPU:{i}" for i in range(logical_devices)],
            # The default, collectives, is for devices that compute at the same time.
            cross_device_ops=tf.distribute.ReductionToOneDevice(),
        )
    return tf.distribute.MirroredStrategy()


def first_replica(values: Any) -> Any:
    """Of values that every replica computed equally, one; for each leaf of a structure."""
    strategy = tf.distribute.get_strategy()
    return tf.nest.map_structure(lambda x: strategy.experimental_local_results(x)[0], values)


def gather_batch(
    outputs: Mapping[str, Embeddings], labels: tf.Tensor
) -> tuple[dict[str, Embeddings], tf.Tensor]:
    """The whole batch's embeddings and labels, from each replica's share, differentiably."""
    replica = tf.distribute.get_replica_context()
    if replica.num_replicas_in_sync == 1:
        return dict(outputs), labels

    # In one piece: one collective, and the gradient of gathering several shapes fails in TF 2.15.
    fields = [field for part in outputs.values() for field in part]  # each [n, D or C]
    widths = [field.shape[1] for field in fields]
    gathered = replica.all_gather(tf.concat(fields, axis=1), axis=0)
    whole = iter(tf.split(_whole(gathered, labels), widths, axis=1))
    parts = {
        modality: Embeddings(*(next(whole) for _ in Embeddings._fields)) for modality in outputs
    }
    return parts, _whole(replica.all_gather(labels, axis=0), labels)


def _whole(gathered: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """``gathered`` with its static number of rows, which gathering forgets; shares are equal."""
    rows = share.shape[0] * tf.distribute.get_strategy().num_replicas_in_sync
    return tf.ensure_shape(gathered, [rows, *gathered.shape[1:]])


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
    gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
    # Gathering sums the replicas' equal losses on the way back, hence the division.
    scaled = [gradient / replica.num_replicas_in_sync for gradient in gradients]
    return replica.all_reduce(tf.distribute.ReduceOp.SUM, scaled)
