"""A search, from the images to the architecture, readable from top to bottom."""

import tensorflow as tf
from tensorflow import keras

from cmnas_tf import settings as settings_module
from cmnas_tf.architecture import Architecture
from cmnas_tf.data.pipeline import Share
from cmnas_tf.data.split import halve
from cmnas_tf.errors import BadInput
from cmnas_tf.files import write_text
from cmnas_tf.layers import GumbelSoftmax, Relaxation, Softmax
from cmnas_tf.search_spaces import NormSpace
from cmnas_tf.training.bilevel import Bilevel
from cmnas_tf.training.distribution import first_replica, make_strategy
from cmnas_tf.training.initial_weights import start_from
from cmnas_tf.training.inputs import TrainingImages
from cmnas_tf.training.loop import Loop
from cmnas_tf.training.objectives import architecture_objective, weight_objective
from cmnas_tf.training.optimizers import CoupledAdam, factor_at, weight_optimizer
from cmnas_tf.training.provenance import provenance
from cmnas_tf.training.run_folder import open_run


def search(settings: settings_module.Search) -> Architecture:
    """Runs a search, or goes on with it, and writes what it derives.

    Leaves ``split.json``, ``architecture.json`` and ``architecture.cfg`` (the line of integers) in
    the run folder, beside the checkpoints and TensorBoard's logs.

    Args:
      settings: of the command.

    Returns:
      The derived architecture.
    """
    schedule = settings.schedule
    strategy = make_strategy(settings.devices.logical_devices)
    training = TrainingImages.load(settings)
    if len(training.dataset.modalities) < 2:
        raise BadInput(
            f"{settings.data.dataset} has {', '.join(training.dataset.modalities)} images only; "
            "which norms to separate per modality is a question for two. Give images of both."
        )
    split = halve(training.dataset.train, schedule.split, settings.run.seed)
    architecture_sampler = training.sampler(split.architecture, stream=1)
    weight_sampler = training.sampler(split.weights, stream=2)
    steps_per_epoch = weight_sampler.steps_per_epoch
    steps = steps_per_epoch * schedule.epochs
    architecture_terms = architecture_objective(
        settings.loss, settings.architecture_loss, schedule.split
    )
    weight_terms = weight_objective(settings.loss)
    for objective in (architecture_terms, weight_terms):
        objective.check(training.dataset.modalities)

    keras.utils.set_random_seed(settings.run.seed)
    with strategy.scope():
        space = norm_space(settings)
        supernet = space.supernet(len(training.pids))
        start_from(supernet, settings)
        logits = list(space.logits(supernet).values())
        bilevel = Bilevel(
            supernet,
            CoupledAdam(
                logits, schedule.architecture_learning_rate, schedule.architecture_weight_decay
            ),
            weight_optimizer(supernet, settings.optimizer, besides=logits),
            architecture_terms,
            weight_terms,
            settings.batch.images_per_identity,
        )
    folder = open_run("search", settings, training.dataset.fingerprint)
    split.save(folder / "split.json")

    @tf.function
    def distributed_step(architecture_batch, weight_batch, move_architecture: bool):
        arguments = (architecture_batch, weight_batch, move_architecture)
        return first_replica(strategy.run(bilevel.train_step, args=arguments))

    def step(number: int, batches):
        bilevel.weight_optimizer.set_factor(factor_at(number, steps_per_epoch, settings.optimizer))
        space.relaxation.prepare(number, number / steps)
        return distributed_step(*batches, number // steps_per_epoch >= schedule.warmup_epochs)

    def batches(start: int, stop: int, share: Share) -> tf.data.Dataset:
        samplers = (architecture_sampler, weight_sampler)
        return tf.data.Dataset.zip(
            tuple(training.batches(sampler, start, stop, share) for sampler in samplers)
        )

    loop = Loop(
        folder=folder,
        strategy=strategy,
        state={
            "network": supernet.get_weight_paths(),
            "architecture_optimizer": bilevel.architecture_optimizer.named_variables(),
            "weight_optimizer": bilevel.weight_optimizer.named_variables(),
        },
        metadata=provenance(settings),
        steps_per_epoch=steps_per_epoch,
        epochs=schedule.epochs,
        keep_checkpoints=settings.checkpointing.keep_checkpoints,
        checkpoint_every=settings.checkpointing.checkpoint_every,
        progress=settings.progress.progress,
    )
    with training.naming_unreadable():
        loop.run(batches, step, lambda: space.summary(supernet))

    architecture = space.derive(supernet, provenance(settings))
    architecture.save(folder / "architecture.json")
    write_text(folder / "architecture.cfg", architecture.to_cfg() + "\n")
    return architecture


def norm_space(settings: settings_module.Search) -> NormSpace:
    """The search space that the settings describe."""
    schedule, network = settings.schedule, settings.network
    relaxation: Relaxation = Softmax()
    if schedule.relaxation == "gumbel":
        relaxation = GumbelSoftmax(
            settings.run.seed, schedule.initial_temperature, schedule.final_temperature
        )
    return NormSpace(
        network.backbone,
        relaxation,
        network.last_stride,
        network.width,
        settings.devices.batch_norm == "synchronized",
    )
