"""Training an architecture, readable from top to bottom."""

import os

import tensorflow as tf

from cmnas_tf.architecture import Architecture
from cmnas_tf.data.index import Dataset
from cmnas_tf.data.pipeline import naming_unreadable
from cmnas_tf.devices.devices import Devices
from cmnas_tf.devices.distribution import check_division, make_strategy
from cmnas_tf.devices.threads import use_threads
from cmnas_tf.devices.workers import check_agreement, is_chief, naming_lost_workers, wait_for_all
from cmnas_tf.errors import BadInput
from cmnas_tf.models.specification import Specification
from cmnas_tf.network_parts import PLAIN, NetworkParts
from cmnas_tf.runs.how_it_runs import Checkpointing
from cmnas_tf.runs.provenance import provenance
from cmnas_tf.runs.run_folder import Description, RunFolder
from cmnas_tf.training.initial_weights import starting
from cmnas_tf.training.inputs import TrainingImages
from cmnas_tf.training.measuring import after_epochs, hold_out
from cmnas_tf.training.recipe import TOLD_OTHERWISE, Recipe, training_settings
from cmnas_tf.training.trained import SPECIFICATION, TrainedNetwork, load_network
from cmnas_tf.training.trainer import Trainer


@naming_lost_workers()
def train_network(
    dataset: Dataset,
    architecture: Architecture,
    recipe: Recipe | None = None,
    *,
    run_dir: str | os.PathLike[str] | None = None,
    seed: int = 0,
    threads: int = 0,
    width: float = 1.0,
    last_stride: int = 1,
    parts: NetworkParts = PLAIN,
    devices: Devices | tf.distribute.Strategy | None = None,
    checkpointing: Checkpointing | None = None,
    progress: bool = True,
) -> TrainedNetwork:
    """Trains a network, or resumes its training.

    Args:
      dataset: whose training images it learns from.
      architecture: the choice at every site of its backbone.
      recipe: how; the authors' by default.
      run_dir: folder of the run, which then holds checkpoints, TensorBoard's logs and the
        architecture; None keeps it in a temporary one.
      seed: of all randomness.
      threads: that share an operation on the CPU, see :class:`Threads`.
      width: factor on the number of channels of every stage.
      last_stride: stride of a ResNet's last stage.
      parts: what the network has besides its backbone's convolutions and norms.
      devices: what computes it.
      checkpointing: when checkpoints are written.
      progress: whether to show a bar.

    Returns:
      The trained network, with the moving average of its weights where there is one.

    Raises:
      BadInput: data, architecture and recipe do not fit each other, or the folder holds another
        run.
      TrainingDiverged: a loss is not finite; the last checkpoint is kept.
      Stopped: SIGINT, SIGTERM or SIGHUP asked for it; a checkpoint was written.
    """
    recipe = (recipe or Recipe()).for_modalities(dataset.modalities)
    run = RunFolder(run_dir)
    threads = use_threads(threads, run.threads())
    strategy = make_strategy(devices, recipe.numerics.deterministic)
    learned_from, measured_on = hold_out(dataset, recipe.measuring, seed)
    images = TrainingImages(learned_from, recipe, seed)
    sampler = images.sampler(learned_from.train, stream=0)
    specification = Specification(
        architecture,
        len(images.pids),
        recipe.size.image_height,
        recipe.size.image_width,
        last_stride,
        width,
        dataset.modalities,
        parts,
        recipe.size.grey16_range,
    )
    recipe.objective.check(dataset.modalities)
    check_division(strategy, recipe.sampling, len(images.pids))
    settings = training_settings(dataset, recipe, seed, width, last_stride, parts)
    contents = {
        "the images": dataset.fingerprint,
        "the architecture": str(architecture.to_json()),
    }
    check_agreement(strategy, lambda: {**settings, **contents})

    trainer = Trainer.begin(
        recipe,
        strategy,
        specification,
        seed,
        recipe.average_decay,
        starting(run, recipe.start.initial_weights, progress),
    )
    count = strategy.num_replicas_in_sync
    steps = recipe.epochs * sampler.steps_per_epoch
    description = Description("train", dataset.fingerprint, settings, count, steps, threads)
    options = [*recipe.options(), *parts.options()]
    # Where no step depends on how many follow, a run is the beginning of every longer one.
    growing = () if recipe.optimizer.schedule == "cosine" else ("epochs",)
    with (
        run.opened(description, options, TOLD_OTHERWISE, is_chief(strategy), growing),
        naming_unreadable(images.source(dataset.train)),
    ):
        if is_chief(strategy):
            _keep(architecture, run)
        trainer.train(
            images,
            sampler,
            run,
            recipe.epochs,
            metadata={
                SPECIFICATION: specification.to_json(),
                **provenance(settings),
                "devices": count,
                **({"people": dataset.people(images.pids)} if dataset.names else {}),
            },
            checkpointing=checkpointing or Checkpointing(),
            progress=progress,
            adopt_average_every=recipe.adopt_average_every,
            after_epoch=after_epochs(recipe, trainer, specification, dataset, measured_on, run),
        )
    wait_for_all(strategy)
    with strategy.scope():
        return load_network(run, "average", recipe.numerics.precision)


def _keep(architecture: Architecture, run: RunFolder) -> None:
    """Writes the architecture into the run's folder; refuses another one than the run's."""
    kept = run.architecture
    if run.has_begun() and kept.is_file() and Architecture.load(kept) != architecture:
        raise BadInput(
            f"`architecture` is not the one that run_dir={run.path} began with, which is in "
            f"{kept}; give that one, or another `run_dir`."
        )
    architecture.save(kept)
