"""How good an architecture is, without training it to the end: retrieval of people kept apart.

The images that the weights do not learn from are embedded and ranked among themselves. A supernet
tells that of every architecture it contains, a network in training of its own.
"""

from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from cmnas_tf.architecture import Architecture
from cmnas_tf.data.index import Dataset, Images
from cmnas_tf.data.pipeline import ImageSource, Share
from cmnas_tf.data.split import split_train
from cmnas_tf.devices.devices import Devices
from cmnas_tf.devices.distribution import make_strategy
from cmnas_tf.errors import BadInput
from cmnas_tf.modality import INFRARED, VISIBLE
from cmnas_tf.models import ReidNetwork
from cmnas_tf.retrieval.embed import embed
from cmnas_tf.retrieval.ranking import rank_embeddings
from cmnas_tf.runs.run_folder import RunFolder
from cmnas_tf.search_spaces import SearchSpace
from cmnas_tf.searching.algorithm import FITNESS_STREAM
from cmnas_tf.searching.darts import Darts
from cmnas_tf.training.inputs import TrainingImages

# Batches that the running statistics are taken from anew for every architecture: those of the
# search are of the mixture, which the chosen norms never see alone (our choice; 0.9^30 = 0.04).
_BATCHES = 30
_EMBED_BATCH = 64


def fitness(network: ReidNetwork, source: ImageSource) -> float:
    """The mean average precision, 0..1, with which a network retrieves images of each other."""
    return mean_average_precision(embed(network, source, _EMBED_BATCH), source.images)


def supernet_scores(
    dataset: Dataset,
    space: SearchSpace,
    algorithm: Darts,
    architectures: Mapping[str, Architecture],
    run: RunFolder,
    seed: int,
    devices: Devices | tf.distribute.Strategy | None = None,
) -> dict[str, float | None]:
    """Lets the supernet of a finished search compute what each architecture would.

    Args:
      dataset, space, algorithm, seed: of the search.
      architectures: by name.
      run: of the search; its newest checkpoint is taken.
      devices: what computes it.

    Returns:
      By name the mean average precision, 0..1, of retrieval among the images of the architecture
      split, which the supernet's weights were not trained on, from one modality to the other; test
      images are not looked at. None for an architecture that the supernet does not contain.
    """
    images = TrainingImages(dataset, algorithm, seed)
    split = split_train(dataset.train, algorithm.split, seed)
    sampler = images.sampler(split.weights, FITNESS_STREAM)
    strategy = make_strategy(devices)
    with strategy.scope():
        supernet = space.supernet(algorithm.make_relaxation(seed), len(images.pids))
    newest = run.newest()
    if newest is None:
        raise BadInput(f"{run.path} holds no checkpoint of a search.")
    batches = images.batches(sampler, 0, _BATCHES, Share(0, 1, 1)).cache()
    source, forward = images.source(split.architecture), _training_pass(supernet)

    def score(architecture: Architecture) -> float | None:
        if not space.contains(architecture):
            return None
        newest.restore({"network": supernet.get_weight_paths()})
        space.select(supernet, architecture)
        for batch in batches:
            forward(batch.images)
        return fitness(supernet, source)

    return {name: score(architecture) for name, architecture in architectures.items()}


def _training_pass(supernet: ReidNetwork) -> Callable[[dict[str, tf.Tensor]], None]:
    """A forward pass that moves the running statistics, and nothing else."""

    @tf.function(autograph=False)
    def forward(images: dict[str, tf.Tensor]) -> None:
        supernet(images, training=True)

    return forward


def mean_average_precision(embeddings: np.ndarray, images: Images) -> float:
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
