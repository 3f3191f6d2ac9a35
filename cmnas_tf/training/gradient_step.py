"""One gradient step: what training and searches are made of."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from cmnas_tf.data.pipeline import Batch
from cmnas_tf.devices.distribution import gather_batch, gradient_of_batch
from cmnas_tf.layers.batch_norm import running_statistics_together
from cmnas_tf.losses.objective import TOTAL
from cmnas_tf.modality import Rows
from cmnas_tf.models import ReidNetwork
from cmnas_tf.training.optimizers import Optimizer

# (outputs by modality, labels, images per identity) -> terms and their total; an ``Objective``.
LossFunction = Callable[..., dict[str, tf.Tensor]]


def gradient_step(
    network: ReidNetwork,
    objective: LossFunction,
    optimizer: Optimizer,
    batch: Batch,
    images_per_identity: int,
    training: bool = True,
) -> dict[str, tf.Tensor]:
    """Moves the optimizer's variables, and no others, down the objective of one batch.

    Args:
      optimizer: whose ``trained`` variables are moved.
      batch: this replica's share.
      images_per_identity: K.
      training: whether batch norm uses the batch's statistics, and moves the running ones by them.

    Returns:
      The terms before the update, over the whole batch.
    """
    variables, scale = optimizer.trained, optimizer.scale
    terms, gradients = loss_and_gradients(
        network, objective, batch, images_per_identity, variables, scale, training
    )
    optimizer.apply(gradients)
    return terms


def loss_and_gradients(
    network: ReidNetwork,
    objective: LossFunction,
    batch: Batch,
    images_per_identity: int,
    variables: Sequence[tf.Variable],
    scale: Callable[[tf.Tensor], tf.Tensor] = tf.identity,
    training: bool = True,
) -> tuple[dict[str, tf.Tensor], list[tf.Tensor]]:
    """The terms over the whole batch, and the gradient of their scaled total.

    Args:
      network, objective, batch, images_per_identity, training: see :func:`gradient_step`.
      variables: what to differentiate for.
      scale: of the total.
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(variables)
        rows = Rows({modality: images.shape[0] for modality, images in batch.images.items()})
        with running_statistics_together():
            outputs = network(batch.images, training=training).by_modality(rows)
        terms = objective(*gather_batch(outputs, batch.labels), images_per_identity)
        loss = scale(terms[TOTAL])
    return terms, gradient_of_batch(tape, loss, variables)
