"""How well people are retrieved whom the weights never saw: the measure of searches and trainings.

Their images are embedded and ranked among themselves, by the camera rule of their data set.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cmnas_tf.data.index import Images
from cmnas_tf.data.pipeline import ImageSource
from cmnas_tf.data.protocols import Trial
from cmnas_tf.modality import INFRARED, VISIBLE
from cmnas_tf.models import ReidNetwork
from cmnas_tf.retrieval.embed import embed
from cmnas_tf.retrieval.ranking import rank_embeddings

_RESAMPLES = 1000
_IMAGES = 4  # our choice


@dataclass(frozen=True)
class Fitness:
    """How well a network retrieves people whom its weights never saw."""

    mean_ap: float  # mean average precision over the queries, 0..1
    rank1: float  # part of the queries whose nearest image shows the same person, 0..1
    precisions: np.ndarray  # by person, the sum of the queries' average precisions, [people]
    queries: np.ndarray  # by person, how many count, [people]

    @classmethod
    def of(cls, embeddings: np.ndarray, images: Images, rule: str) -> "Fitness":
        """Of a trial among the images, see :func:`trial_among`.

        Args:
          embeddings: [N, D], L2-normalised.
          images: N, those embedded.
          rule: the data set's camera rule, a name of ``data.camera_rules.RULES``.

        Raises:
          BadInput: there is nothing to rank, or an embedding is not finite.
        """
        trial = trial_among(images, rule)
        query, gallery = trial.query, trial.gallery
        labels = query.pids, gallery.pids, query.cameras, gallery.cameras
        ranking = rank_embeddings(*trial.divided(embeddings, images), *labels, trial.rule)
        counts = ~np.isnan(ranking.average_precisions)
        _, person = np.unique(query.pids[counts], return_inverse=True)
        precisions = np.bincount(person, ranking.average_precisions[counts])
        return cls(ranking.mean_ap, float(ranking.cmc[0]), precisions, np.bincount(person))

    def standard_error_to(self, other: "Fitness") -> float:
        """The standard error of the difference of both mean average precisions.

        By bootstrap over people, with both computed of the same resample; from a seed of its own.
        """
        people = len(self.queries)
        drawn = np.random.default_rng(0).integers(people, size=(_RESAMPLES, people))
        gained = (self.precisions - other.precisions)[drawn].sum(axis=1)
        return float((gained / self.queries[drawn].sum(axis=1)).std())

    def to_json(self) -> dict[str, Any]:
        """JSON-ready form."""
        lists = {name: getattr(self, name).tolist() for name in ("precisions", "queries")}
        return {"mean_ap": self.mean_ap, "rank1": self.rank1, **lists}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Fitness":
        """From the form of :meth:`to_json`."""
        arrays = (np.array(content[name]) for name in ("precisions", "queries"))
        return cls(content["mean_ap"], content["rank1"], *arrays)


def fitness(network: ReidNetwork, source: ImageSource, rule: str) -> Fitness:
    """The fitness of a network of its own, by images that it was not trained on."""
    return Fitness.of(embed(network, source), source.images, rule)


def trial_among(images: Images, rule: str) -> Trial:
    """Infrared images ask for visible ones by a camera rule; images of one modality ask for one
    another, and never find those of their own camera."""
    if len(set(images.modalities)) > 1:
        query, gallery = images.of_modality(INFRARED), images.of_modality(VISIBLE)
        return Trial("held_out", query, gallery, rule, "held_out")
    return Trial("held_out", images, images, "market", "held_out")


def few_of_each(images: Images) -> Images:
    """At most :data:`_IMAGES` of each person from each camera, the first ones (our choice)."""
    seen: Counter[tuple[int, int]] = Counter()
    kept = []
    for row, key in enumerate(zip(images.pids.tolist(), images.cameras.tolist(), strict=True)):
        seen[key] += 1
        if seen[key] <= _IMAGES:
            kept.append(row)
    return images[kept]
