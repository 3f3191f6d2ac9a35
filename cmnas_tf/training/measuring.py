"""Measuring a network while it is trained: a curve, and the best epoch kept."""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from cmnas_tf.data import LAYOUTS
from cmnas_tf.data.index import Dataset, Images
from cmnas_tf.data.pipeline import ImageSource
from cmnas_tf.devices.workers import is_chief
from cmnas_tf.errors import BadInput
from cmnas_tf.models.precision import computed_in
from cmnas_tf.models.specification import Specification
from cmnas_tf.retrieval.embed import embed
from cmnas_tf.retrieval.fitness import Fitness, few_of_each, trial_among
from cmnas_tf.retrieval.measure import measure, require_measurable
from cmnas_tf.retrieval.ranked_lists import few_queries
from cmnas_tf.runs import checkpoints
from cmnas_tf.runs.checkpoints import BEST
from cmnas_tf.runs.loop import AfterEpoch, Seen, nothing
from cmnas_tf.runs.projector import write_projector
from cmnas_tf.runs.run_folder import RunFolder
from cmnas_tf.training.recipe import Measuring, Recipe
from cmnas_tf.training.trainer import Trainer


def hold_out(dataset: Dataset, measuring: Measuring, seed: int) -> tuple[Dataset, Images]:
    """What is left to train on, and the images to measure on; a pure function of its arguments.

    Raises:
      BadInput: fewer than two people would be left to train on, nobody could be ranked, or there
        are test images of a modality that is not trained on.
    """
    if not measuring.measure_every:
        return dataset, dataset.train[:0]
    if measuring.measure_on == "test":
        if unseen := sorted(set(dataset.test.modalities) - set(dataset.modalities)):
            raise BadInput(
                f"measure_on=test measures {', '.join(unseen)} images too, and the network is "
                f"trained on {', '.join(dataset.modalities)} ones only; give measure_on=held_out."
            )
        require_measurable(dataset, None, rerank=False)
        return dataset, dataset.test
    pids = np.unique(dataset.train.pids)
    count = max(2, round(measuring.held_out * len(pids)))
    if len(pids) - count < 2:
        raise BadInput(
            f"held_out={measuring.held_out:g} of {len(pids)} training people leaves "
            f"{len(pids) - count} to train on; give measure_on=test, or more people."
        )
    random = np.random.default_rng([seed, zlib.crc32(b"held out")])
    held_out = np.isin(dataset.train.pids, random.permutation(pids)[:count])
    images = few_of_each(dataset.train[held_out])
    # Refuses them before the training, where nobody could be ranked after an epoch.
    rule = LAYOUTS[dataset.layout].protocol.rule
    Fitness.of(np.ones((len(images), 1), np.float32), images, rule)
    return replace(dataset, train=dataset.train[~held_out]), images


@dataclass
class BestEpoch:
    """Measures every some epochs and at the end, and has the best kept; for ``Loop.steps``."""

    measuring: Measuring  # when, and on whom
    epochs: int  # how many there are
    judge: Callable[[], dict[str, float]]  # measures; its "mAP" decides, the first of equals
    people: int  # how many are measured on
    best: float = -1.0  # the highest mAP so far
    word: str = ""  # on the last measurement, for the bar
    # Epoch -> what else TensorBoard is to show of its measurement, by name.
    show: Callable[[int], Mapping[str, Any]] = lambda epoch: {}

    def __call__(self, epoch: int) -> Seen:
        """What there is to say after an epoch, from 1."""
        every, measured_on = self.measuring.measure_every, self.measuring.measure_on
        if epoch % every and epoch != self.epochs:
            return Seen(word=self.word)
        found, best = self.judge(), None
        if found["mAP"] > self.best:
            self.best = found["mAP"]
            on = f"{self.people} {measured_on.replace('_', '-')} people"
            best = {**found, "on": on, "every": every}
        self.word = f"mAP {100 * found['mAP']:.1f} (best {100 * self.best:.1f})"
        shown = {**found, **self.show(epoch)}
        return Seen({f"{measured_on}/{n}": v for n, v in shown.items()}, self.word, best)


def after_epochs(
    recipe: Recipe,
    trainer: Trainer,
    specification: Specification,
    dataset: Dataset,
    images: Images,
    run: RunFolder,
) -> AfterEpoch:
    """What a training does after its epochs: it goes on from the best that the run has kept.

    Args:
      trainer: whose moving average is measured, in a network of its own.
      dataset: whose camera rule or protocol holds.
      images: those to measure on, see :func:`hold_out`.
      run: whose TensorBoard shows some queries and, in the projector, all embeddings.
    """
    measuring = recipe.measuring
    if not measuring.measure_every:
        return nothing
    height, width = specification.height, specification.width
    source = ImageSource(images, Path(dataset.root), height, width, grey16=specification.grey16)
    with computed_in(recipe.numerics.precision):
        network = specification.build()
    held_out = measuring.measure_on == "held_out"
    protocol = LAYOUTS[dataset.layout].protocol
    trial = trial_among(images, protocol.rule) if held_out else next(protocol().trials_of(dataset))
    embeddings = np.empty((0, 0))  # of the last measurement
    read = tf.function(source.reader(), [tf.TensorSpec([], tf.int64)], autograph=False)

    def judge() -> dict[str, float]:
        nonlocal embeddings
        for name, variable in network.get_weight_paths().items():
            variable.assign(trainer.average.variables[name])
        embeddings = embed(network, source)
        if held_out:
            found = Fitness.of(embeddings, images, protocol.rule)
            return {"mAP": found.mean_ap, "rank1": found.rank1}
        settings = measure(embeddings, dataset)
        return {
            name: float(np.mean([setting.values[name] for setting in settings]))
            for name in ("mAP", "rank1")
        }

    def opened(row: int) -> Image.Image:
        with tf.device("CPU:0"):
            return Image.fromarray(read(row).numpy())

    def show(epoch: int) -> dict[str, Any]:
        if not is_chief(trainer.strategy):
            return {}
        write_projector(run.tensorboard, f"epoch_{epoch:04d}", embeddings, images, opened)
        return {"queries": few_queries(trial, embeddings, images, opened)}

    best = checkpoints.read(run.best).metadata[BEST]["mAP"] if run.best.is_file() else -1.0
    people = len(np.unique(images.pids))
    return BestEpoch(measuring, recipe.epochs, judge, people, best, show=show)
