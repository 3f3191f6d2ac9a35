"""Does the supernet rank architectures as their trainings do? What it says of each.

A search follows what its supernet says. If that does not agree with what architectures reach once
they are trained, a better search of the same supernet finds nothing better.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from cmnas_tf import settings as settings_module
from cmnas_tf.architecture import Architecture
from cmnas_tf.data.index import Images
from cmnas_tf.data.pipeline import ImageSource, Share
from cmnas_tf.data.split import halve
from cmnas_tf.devices.distribution import make_strategy
from cmnas_tf.errors import BadInput
from cmnas_tf.modality import INFRARED, VISIBLE
from cmnas_tf.models import ReidNetwork
from cmnas_tf.retrieval.embed import embed
from cmnas_tf.retrieval.ranking import rank_embeddings
from cmnas_tf.runs.checkpoints import Checkpoints
from cmnas_tf.searching.spaces import search_space
from cmnas_tf.training.inputs import TrainingImages

# Batches that the running statistics are taken from anew for every architecture: those of the
# search are of the mixture, which the chosen norms never see alone (our choice; 0.9^30 = 0.04).
_BATCHES = 30
_EMBED_BATCH = 64


def supernet_scores(
    settings: settings_module.Search, architectures: Mapping[str, Architecture]
) -> dict[str, float | None]:
    """Lets the supernet of a finished search compute what each architecture would.

    Args:
      settings: of the search; its newest checkpoint is taken.
      architectures: by name.

    Returns:
      By name the mean average precision, 0..1, of retrieval among the images of the architecture
      split, which the supernet's weights were not trained on, from one modality to the other; test
      images are not looked at. None for an architecture that the supernet does not contain.
    """
    training = TrainingImages.load(settings).of_modality(settings.schedule.modality)
    split = halve(training.dataset.train, settings.schedule.split, settings.run.seed)
    sampler = training.sampler(split.weights, stream=3)
    strategy = make_strategy(settings.devices)
    space = search_space(settings)
    with strategy.scope():
        supernet = space.supernet(len(training.pids))
    newest = Checkpoints(Path(settings.run.run_dir) / "checkpoints").newest()
    if newest is None:
        raise BadInput(f"{settings.run.run_dir} holds no checkpoint of a search.")
    source = ImageSource(
        split.architecture,
        Path(training.dataset.root),
        settings.input.image_height,
        settings.input.image_width,
        settings.pipeline.cache,
    )
    batches = training.batches(sampler, 0, _BATCHES, Share(0, 1, 1)).cache()
    forward = _training_pass(supernet)

    def score(architecture: Architecture) -> float | None:
        if not space.contains(architecture):
            return None
        newest.restore({"network": supernet.get_weight_paths()})
        space.prefer(supernet, architecture)
        for batch in batches:
            forward(batch.images)
        return _mean_ap(embed(supernet, source, _EMBED_BATCH), split.architecture)

    return {name: score(architecture) for name, architecture in architectures.items()}


def _training_pass(supernet: ReidNetwork) -> Callable[[dict[str, tf.Tensor]], None]:
    """A forward pass that moves the running statistics, and nothing else."""

    @tf.function(autograph=False)
    def forward(images: dict[str, tf.Tensor]) -> None:
        supernet(images, training=True)

    return forward


def _mean_ap(embeddings: np.ndarray, images: Images) -> float:
    """Infrared images ask for visible ones; those of one modality ask for those of other cameras.

    Args:
      embeddings: [N, D], L2-normalised.
      images: N, those embedded.
    """
    asking = answering = np.ones(len(images), bool)
    rule = "market"
    if len(set(images.modalities)) > 1:
        asking, answering = images.modalities == INFRARED, images.modalities == VISIBLE
        rule = "regdb"
    ranking = rank_embeddings(
        embeddings[asking],
        embeddings[answering],
        images.pids[asking],
        images.pids[answering],
        images.cameras[asking],
        images.cameras[answering],
        rule,
    )
    return ranking.mean_ap
