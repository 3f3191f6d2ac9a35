"""Training a derived or hand-made architecture, readable from top to bottom."""

from pathlib import Path

import tensorflow as tf
from tensorflow import keras

from cmnas_tf import settings as settings_module
from cmnas_tf.architecture import SEPARATE, SHARED, Architecture
from cmnas_tf.data.pipeline import Share
from cmnas_tf.errors import BadInput
from cmnas_tf.models.specification import Specification
from cmnas_tf.training.descent import descend
from cmnas_tf.training.distribution import first_replica, make_strategy
from cmnas_tf.training.initial_weights import start_from
from cmnas_tf.training.inputs import TrainingImages
from cmnas_tf.training.loop import Loop
from cmnas_tf.training.moving_average import MovingAverage
from cmnas_tf.training.objectives import weight_objective
from cmnas_tf.training.optimizers import factor_at, weight_optimizer
from cmnas_tf.training.provenance import provenance
from cmnas_tf.training.run_folder import has_begun, open_run

SPECIFICATION = "specification"


def train(settings: settings_module.Train) -> Path:
    """Trains a network, or goes on with it.

    Args:
      settings: of the command.

    Returns:
      The run folder, which holds the checkpoints, TensorBoard's logs and ``architecture.json``.
    """
    schedule = settings.schedule
    architecture = named_architecture(schedule.architecture, settings.network.backbone)
    strategy = make_strategy(settings.devices.logical_devices)
    training = TrainingImages.load(settings)
    sampler = training.sampler(training.dataset.train, stream=0)
    objective = weight_objective(settings.loss)
    specification = Specification(
        architecture,
        len(training.pids),
        settings.input.image_height,
        settings.input.image_width,
        settings.network.last_stride,
        settings.network.width,
        training.dataset.modalities,
    )
    objective.check(training.dataset.modalities)

    keras.utils.set_random_seed(settings.run.seed)
    with strategy.scope():
        network = specification.build(settings.devices.batch_norm == "synchronized")
        start_from(network, settings)
        optimizer = weight_optimizer(network, settings.optimizer)
        average = MovingAverage(network.get_weight_paths(), schedule.average_decay)
    folder = open_run("train", settings, training.dataset.fingerprint)
    kept = folder / "architecture.json"
    if has_begun(folder) and kept.is_file() and Architecture.load(kept) != architecture:
        raise BadInput(
            f"--architecture={schedule.architecture} is not the architecture that --run_dir="
            f"{folder} began with, which is in {kept}; give that one, or another --run_dir."
        )
    architecture.save(kept)

    def replica_step(batch):
        return {
            "weights": descend(
                network, objective, optimizer, batch, settings.batch.images_per_identity
            )
        }

    @tf.function
    def distributed_step(batch):
        terms = strategy.run(replica_step, args=(batch,))
        average.update()
        return first_replica(terms)

    def step(number: int, batch):
        optimizer.set_factor(factor_at(number, sampler.steps_per_epoch, settings.optimizer))
        return distributed_step(batch)

    def batches(start: int, stop: int, share: Share) -> tf.data.Dataset:
        return training.batches(sampler, start, stop, share)

    loop = Loop(
        folder=folder,
        strategy=strategy,
        state={
            "network": network.get_weight_paths(),
            "average": average.variables,
            "weight_optimizer": optimizer.named_variables(),
        },
        metadata={SPECIFICATION: specification.to_json(), **provenance(settings)},
        steps_per_epoch=sampler.steps_per_epoch,
        epochs=schedule.epochs,
        keep_checkpoints=settings.checkpointing.keep_checkpoints,
        checkpoint_every=settings.checkpointing.checkpoint_every,
        progress=settings.progress.progress,
    )
    with training.naming_unreadable():
        loop.run(batches, step)
    return folder


def named_architecture(name: str, backbone: str) -> Architecture:
    """The architecture that ``--architecture`` names: a word or a file."""
    if name == SHARED:
        return Architecture.shared(backbone)
    if name == SEPARATE:
        return Architecture.separate(backbone)
    if name.startswith("until:"):
        return Architecture.separate_until(name.removeprefix("until:"), backbone)
    return Architecture.load(name, backbone)
