"""A closer look at what was measured: who was taken for whom, and how far people are apart.

It is kept with the results, as JSON, for reports to draw.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cmnas_tf.data.camera_rules import QueryCounts
from cmnas_tf.data.index import Dataset, Images
from cmnas_tf.data.protocols import Protocol, Trial
from cmnas_tf.modality import INFRARED
from cmnas_tf.retrieval.measure import Measured
from cmnas_tf.retrieval.ranked_lists import ranked, ranked_list
from cmnas_tf.retrieval.ranking import rank_embeddings

# All our choice.
_LISTS = 5  # of the worst, of the best and of any queries
_QUERIES = 1000  # for each camera's images, so that it costs no second ranking of a large gallery
_PAIRS_OF = 2000  # images
_BINS = 100
_CURVES = 300  # queries whose precisions are averaged, by recall
_RECALLS = np.linspace(0, 1, 51) - 1e-9  # which rounding shall not lift over 0.6
_MAPPED_PEOPLE, _MAPPED_IMAGES, _COMPONENTS = 20, 600, 30

Look = Mapping[str, Any]

_IMAGE = {"name": str, "pid": int, "camera": int, "score": float}
FORM = {
    "root": str,
    "cmc": {str: [float]},
    "precision?": [float],
    "lists": [{"kind": str, "precision": float, "images": [_IMAGE]}],
    "cameras": [{"asking": int, "answering": int, "mAP": float}],
    "similarities": {str: [int]},
    "mapped": [{"pid": int, "modality": str, "at": [float]}],
}


def beyond_form(look: Look) -> str:
    """What is wrong with a look of the right :data:`FORM`; empty if nothing is."""
    if any(count < 0 for counts in look["similarities"].values() for count in counts):
        return "a number of pairs is negative"
    places = [image["at"] for image in look["mapped"]]
    if len(sizes := set(map(len, places))) > 1 or sizes & {0, 1}:
        return "people are not mapped to one space"
    outside = any(abs(value) > 2 for place in places for value in place)  # the sphere is that wide
    return "a person is mapped outside -2 to 2" if outside else ""


def closer_look(
    embeddings: np.ndarray, dataset: Dataset, protocol: Protocol, measured: Sequence[Measured]
) -> Look:
    """What a report shows of an evaluation; what is drawn at random is so from a seed of its own.

    Args:
      embeddings: [N, D], one row for each of ``dataset.test``, L2-normalised.
      measured: of these embeddings by the protocol.

    Returns:
      What :data:`FORM` says, JSON-ready: ``root``, the folder of the images; ``cmc`` by setting,
      means over its trials, 0..1; of the first trial ``precision``, the mean over (at most 300)
      queries at recalls evenly from 0 to 1, ``lists``, a query and its best matches by the cosine,
      for the worst, the best and any queries; ``cameras``, the mean average precision of a camera's
      queries (of at most 1,000 in all) in another's images; of all test images ``similarities``, by
      kind of pair how many there are, by their cosine from -1 to 1; and ``mapped``, some people's
      embeddings by their first principal components.
    """
    random = np.random.default_rng(0)
    trial = next(protocol.trials_of(dataset))
    of_trial = next(m for m in measured if m.setting == trial.setting).trials[trial.name]
    precisions = of_trial.ranking.average_precisions
    counted = np.flatnonzero(~np.isnan(precisions))
    of_queries = (trial, *trial.divided(embeddings, dataset.test))
    return {
        "root": str(Path(dataset.root).resolve()),
        "cmc": {m.setting: _mean([t.ranking.cmc for t in m.trials.values()]) for m in measured},
        "lists": list(_lists(*of_queries, precisions, random)),
        "cameras": list(_by_camera(*of_queries, random)),
        "similarities": _similarities(embeddings, dataset.test, random),
        "mapped": list(_mapped(embeddings, dataset.test, random)),
        "precision": _precision(*of_queries, random.permutation(counted)[:_CURVES]),
    }


def _mean(curves: Sequence[np.ndarray]) -> list[float]:
    length = min(map(len, curves))
    return np.mean([curve[:length] for curve in curves], axis=0).tolist()


def _lists(
    trial: Trial,
    asking: np.ndarray,
    answering: np.ndarray,
    precisions: np.ndarray,
    random: np.random.Generator,
) -> Iterator[dict[str, Any]]:
    counted = np.flatnonzero(~np.isnan(precisions))
    worst = counted[np.argsort(precisions[counted], kind="stable")]
    kinds = {"worst": worst, "best": worst[::-1], "any": random.permutation(counted)}
    for kind, rows in kinds.items():
        for row in rows[:_LISTS]:
            images = ranked_list(trial, asking, answering, row)
            yield {"kind": kind, "precision": float(precisions[row]), "images": images}


def _precision(
    trial: Trial, asking: np.ndarray, answering: np.ndarray, rows: np.ndarray
) -> list[float]:
    """By recall, the mean over queries of the highest precision there or beyond."""
    found = []
    for row in rows:
        order, _ = ranked(trial, asking, answering, row)
        places = 1 + np.flatnonzero(trial.gallery.pids[order] == trial.query.pids[row])
        right = np.arange(1, 1 + len(places))
        precision = np.maximum.accumulate((right / places)[::-1])[::-1]
        found.append(precision[np.searchsorted(right / len(places), _RECALLS)])
    return np.mean(found, axis=0).tolist()


def _by_camera(
    trial: Trial, asking: np.ndarray, answering: np.ndarray, random: np.random.Generator
) -> Iterator[dict[str, Any]]:
    some = np.sort(random.permutation(len(asking))[:_QUERIES])
    query, gallery = trial.query[some], trial.gallery
    for camera in np.unique(gallery.cameras).tolist():
        there = gallery.cameras == camera
        labels = query.pids, gallery.pids[there], query.cameras, gallery.cameras[there]
        if not QueryCounts.of(*labels, trial.rule).counted:
            continue
        ranking = rank_embeddings(asking[some], answering[there], *labels, trial.rule)
        for other in np.unique(query.cameras).tolist():
            values = ranking.average_precisions[query.cameras == other]
            if not np.isnan(values).all():
                yield {"asking": other, "answering": camera, "mAP": float(np.nanmean(values))}


def _similarities(
    embeddings: np.ndarray, images: Images, random: np.random.Generator
) -> dict[str, list[int]]:
    rows = random.permutation(len(images))[:_PAIRS_OF]
    one, other = np.triu_indices(len(rows), k=1)
    cosines = (embeddings[rows] @ embeddings[rows].T)[one, other].clip(-1, 1)
    pids, infrared = images.pids[rows], images.modalities[rows] == INFRARED
    same, between = pids[one] == pids[other], infrared[one] != infrared[other]
    kinds = {
        "the same person, same modality": same & ~between,
        "different people, same modality": ~same & ~between,
        "the same person, other modality": same & between,
        "different people, other modality": ~same & between,
    }
    edges = np.linspace(-1, 1, _BINS + 1)
    return {kind: np.histogram(cosines[p], edges)[0].tolist() for kind, p in kinds.items()}


def _mapped(
    embeddings: np.ndarray, images: Images, random: np.random.Generator
) -> Iterator[dict[str, Any]]:
    people = random.permutation(np.unique(images.pids))[:_MAPPED_PEOPLE]
    rows = np.flatnonzero(np.isin(images.pids, people))[:_MAPPED_IMAGES]
    centred = embeddings[rows] - embeddings[rows].mean(axis=0)
    directions = np.linalg.svd(centred, full_matrices=False)[2][:_COMPONENTS]
    for image, at in zip(images[rows], (centred @ directions.T).round(4).tolist(), strict=True):
        yield {"pid": image.pid, "modality": image.modality, "at": at}
