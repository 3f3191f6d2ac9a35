"""A search, from the images to the architecture, readable from top to bottom."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import tensorflow as tf

from cmnas_tf import settings as settings_module
from cmnas_tf.architecture import Architecture
from cmnas_tf.data.pipeline import Batch, Share
from cmnas_tf.data.split import halve
from cmnas_tf.devices.distribution import check_division, compiled_on, make_strategy
from cmnas_tf.devices.workers import check_same_run, is_chief, naming_lost_workers
from cmnas_tf.files import write_json
from cmnas_tf.models import ReidNetwork
from cmnas_tf.models.cost import cost_of
from cmnas_tf.models.latency import latency_of
from cmnas_tf.models.specification import Specification
from cmnas_tf.runs.loop import Loop
from cmnas_tf.runs.provenance import provenance
from cmnas_tf.runs.run_folder import open_run
from cmnas_tf.searching.search_step import make_bilevel, objectives_of
from cmnas_tf.searching.spaces import search_space
from cmnas_tf.training.inputs import TrainingImages
from cmnas_tf.training.optimizers import factor_at


@naming_lost_workers()
def search(settings: settings_module.Search) -> Architecture:
    """Runs a search, or goes on with it, and writes what it derives.

    Leaves ``split.json`` and ``architecture.json`` in the run folder, beside the checkpoints and
    TensorBoard's logs; of a search for norms also ``architecture.cfg``, the line of integers. What
    it would have derived after each epoch is in ``architectures/``: the last is not always the best
    to train.

    Args:
      settings: of the command.

    Returns:
      The derived architecture; its provenance says what its network costs. How long an image takes
      here is measured once and written beside it, since no two measurements are alike.
    """
    schedule = settings.schedule
    strategy = make_strategy(settings.devices, settings.devices.deterministic)
    training = TrainingImages.load(settings).of_modality(schedule.modality)
    with strategy.scope():
        space = search_space(settings)
    space.check(training.dataset.modalities)
    split = halve(training.dataset.train, schedule.split, settings.run.seed)
    architecture_sampler = training.sampler(split.architecture, stream=1)
    weight_sampler = training.sampler(split.weights, stream=2)
    steps_per_epoch = weight_sampler.steps_per_epoch
    steps = steps_per_epoch * schedule.epochs
    objectives = objectives_of(settings)
    for objective in objectives:
        objective.check(training.dataset.modalities)
    check_division(strategy, settings.batch, len(training.pids))
    check_same_run(strategy, settings, {"the images": training.dataset.fingerprint})

    bilevel = make_bilevel(settings, strategy, space, len(training.pids), objectives)
    supernet = bilevel.network
    run = compiled_on(strategy)

    def step(number: int, batches: tuple[Batch, Batch]):
        factor = factor_at(number, steps_per_epoch, schedule.epochs, settings.optimizer)
        bilevel.weight_optimizer.set_factor(factor)
        space.relaxation.prepare(number, number / steps)
        move_architecture = number // steps_per_epoch >= schedule.warmup_epochs
        return bilevel.train_step(*batches, move_architecture, run)

    def batches(start: int, stop: int, share: Share) -> tf.data.Dataset:
        samplers = (architecture_sampler, weight_sampler)
        return tf.data.Dataset.zip(
            tuple(training.batches(sampler, start, stop, share) for sampler in samplers)
        )

    origin = {**provenance(settings), "devices": strategy.num_replicas_in_sync}
    with (
        open_run("search", settings, training.dataset.fingerprint, strategy) as folder,
        training.naming_unreadable(),
    ):
        loop = Loop(
            folder=folder,
            strategy=strategy,
            state={
                "network": supernet.get_weight_paths(),
                "architecture_optimizer": bilevel.architecture_optimizer.named_variables(),
                "weight_optimizer": bilevel.weight_optimizer.named_variables(),
            },
            metadata=origin,
            steps_per_epoch=steps_per_epoch,
            epochs=schedule.epochs,
            keep_checkpoints=settings.checkpointing.keep_checkpoints,
            checkpoint_every=settings.checkpointing.checkpoint_every,
            progress=settings.progress.progress,
        )
        if is_chief(strategy):
            split.save(folder / "split.json")

        def after_epoch(epoch: int) -> tuple[Mapping[str, float], str]:
            if is_chief(strategy):
                name = f"epoch_{epoch:04d}.json"
                space.derive(supernet, origin).save(folder / "architectures" / name)
            return space.summary(supernet)

        loop.run(batches, step, after_epoch)
        architecture = space.derive(supernet, origin)
        network = Specification.of(
            architecture, len(training.pids), settings.input, settings.network
        ).build()
        cost = cost_of(network, settings.input.image_height, settings.input.image_width)
        architecture = replace(
            architecture, provenance={**architecture.provenance, "cost": cost._asdict()}
        )
        if is_chief(strategy):
            space.save(architecture, folder)
            print(f"{space.describe(architecture)}\n{cost}")
            _time(network, settings, folder / "latency.json")
    return architecture


def _time(network: ReidNetwork, settings: settings_module.Search, file: Path) -> None:
    """Measures how long an image takes through the derived network, says it and keeps it."""
    if not file.exists():
        latency = latency_of(network, settings.input.image_height, settings.input.image_width)
        print(latency)
        write_json(file, latency._asdict())
