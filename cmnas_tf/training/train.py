"""Training a derived or hand-made architecture, readable from top to bottom."""

from pathlib import Path

import tensorflow as tf

from cmnas_tf import settings as settings_module
from cmnas_tf.architecture import Architecture
from cmnas_tf.data.pipeline import Share
from cmnas_tf.devices.distribution import check_division, make_strategy
from cmnas_tf.devices.workers import check_same_run, is_chief, naming_lost_workers
from cmnas_tf.errors import BadInput
from cmnas_tf.models.specification import Specification
from cmnas_tf.runs.loop import Loop
from cmnas_tf.runs.provenance import provenance
from cmnas_tf.runs.run_folder import has_begun, open_run
from cmnas_tf.search_spaces.named_architecture import named_architecture
from cmnas_tf.training.inputs import TrainingImages
from cmnas_tf.training.objectives import weight_objective
from cmnas_tf.training.optimizers import factor_at
from cmnas_tf.training.trainer import Trainee

SPECIFICATION = "specification"


@naming_lost_workers()
def train(settings: settings_module.Train) -> Path:
    """Trains a network, or goes on with it.

    Args:
      settings: of the command.

    Returns:
      The run folder, which holds the checkpoints, TensorBoard's logs and ``architecture.json``.
    """
    schedule = settings.schedule
    architecture = named_architecture(schedule.architecture, settings.network)
    strategy = make_strategy(settings.devices, settings.devices.deterministic)
    training = TrainingImages.load(settings)
    sampler = training.sampler(training.dataset.train, stream=0)
    objective = weight_objective(settings.loss)
    specification = Specification.of(
        architecture,
        len(training.pids),
        settings.input,
        settings.network,
        training.dataset.modalities,
    )
    objective.check(training.dataset.modalities)
    check_division(strategy, settings.batch, len(training.pids))
    files = {
        "the images": training.dataset.fingerprint,
        "--architecture": str(architecture.to_json()),
    }
    check_same_run(strategy, settings, files)

    trainee = Trainee.begin(settings, strategy, specification, objective)
    adopt_every = schedule.adopt_average_every * sampler.steps_per_epoch

    def step(number: int, batch):
        # When the next epoch begins, so that a checkpoint holds both: as the authors' do.
        if adopt_every and number and number % adopt_every == 0:
            trainee.average.overwrite_live()
        steps = sampler.steps_per_epoch
        factor = factor_at(number, steps, schedule.epochs, settings.optimizer)
        trainee.optimizer.set_factor(factor)
        return trainee.train_step(batch)

    def batches(start: int, stop: int, share: Share) -> tf.data.Dataset:
        return training.batches(sampler, start, stop, share)

    origin = {**provenance(settings), "devices": strategy.num_replicas_in_sync}
    with (
        open_run("train", settings, training.dataset.fingerprint, strategy) as folder,
        training.naming_unreadable(),
    ):
        if is_chief(strategy):
            _keep(architecture, folder, schedule.architecture)
        loop = Loop(
            folder=folder,
            strategy=strategy,
            state={
                "network": trainee.network.get_weight_paths(),
                "average": trainee.average.variables,
                "weight_optimizer": trainee.optimizer.named_variables(),
            },
            metadata={SPECIFICATION: specification.to_json(), **origin},
            steps_per_epoch=sampler.steps_per_epoch,
            epochs=schedule.epochs,
            keep_checkpoints=settings.checkpointing.keep_checkpoints,
            checkpoint_every=settings.checkpointing.checkpoint_every,
            progress=settings.progress.progress,
        )
        loop.run(batches, step)
    return folder


def _keep(architecture: Architecture, folder: Path, name: str) -> None:
    """Writes the architecture into the run's folder; refuses another one than the run's."""
    kept = folder / "architecture.json"
    if has_begun(folder) and kept.is_file() and Architecture.load(kept) != architecture:
        raise BadInput(
            f"--architecture={name} is not the architecture that --run_dir={folder} began with, "
            f"which is in {kept}; give that one, or another --run_dir."
        )
    architecture.save(kept)
