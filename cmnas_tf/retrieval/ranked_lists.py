"""Ranked lists: a query with its best matches, as JSON and as tiles of a picture."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cmnas_tf.data.camera_rules import RULES
from cmnas_tf.data.index import Images
from cmnas_tf.data.protocols import Trial

if TYPE_CHECKING:
    from PIL import Image

    from cmnas_tf.tiles import Tile

_MATCHES, _QUERIES = 10, 5  # of each query, and in a picture; our choice
_WIDEST = 16  # characters below an image


def ranked(
    trial: Trial, asking: np.ndarray, answering: np.ndarray, row: int
) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the gallery that a query sees, best first; and the scores of all, [G].

    Args:
      asking, answering: [Q, D] and [G, D], embeddings of the trial's queries and gallery.
      row: of the query.
    """
    query, gallery = trial.query[[row]], trial.gallery
    same, camera = query.pids[:, None] == gallery.pids, query.cameras[:, None]
    (hidden,) = RULES[trial.rule].drops(same, camera, gallery.cameras)
    scores = np.where(hidden, -np.inf, answering @ asking[row])
    return np.argsort(-scores, kind="stable")[: (~hidden).sum()], scores


def ranked_list(
    trial: Trial, asking: np.ndarray, answering: np.ndarray, row: int
) -> list[dict[str, Any]]:
    """A query and its best matches by the cosine, see :func:`ranked`; JSON-ready."""
    order, scores = ranked(trial, asking, answering, row)
    best = order[:_MATCHES]
    shown = [*trial.query[[row]], *trial.gallery[best]]
    return [
        {"name": image.path, "pid": image.pid, "camera": image.camera, "score": score}
        for image, score in zip(shown, [1.0, *scores[best].tolist()], strict=True)
    ]


def few_queries(
    trial: Trial, embeddings: np.ndarray, images: Images, opened: "Callable[[int], Image.Image]"
) -> "Image.Image":
    """A picture of some queries, the same ones each time, with their best matches: the first of
    each of some people.

    Args:
      embeddings: [N, D], L2-normalised, one row for each of ``images``.
      opened: by its row an image.
    """
    from cmnas_tf.tiles import draw

    row_of = {path: row for row, path in enumerate(images.paths)}
    pids, first_of_each = np.unique(trial.query.pids, return_index=True)
    known = first_of_each[np.isin(pids, trial.gallery.pids)]
    some = known[np.linspace(0, len(known) - 1, min(len(known), _QUERIES)).astype(int)]
    divided = trial.divided(embeddings, images)
    lists = (ranked_list(trial, *divided, row) for row in some)
    return draw([tiles(images, lambda name: opened(row_of[name])) for images in lists])


def tiles(
    images: Sequence[Mapping[str, Any]], opened: "Callable[[str], Image.Image | None]"
) -> "list[Tile]":
    """A row of a picture, from a :func:`ranked_list`.

    Args:
      opened: by its name an image, or None where it is gone: then its name is shown.
    """
    from cmnas_tf.tiles import Tile

    row = []
    for place, image in enumerate(images):
        there = opened(image["name"])
        said, right = f"query {image['pid']}", None
        if place:
            said = f"{image['pid']}  {image['score']:.3f}"
            right = image["pid"] == images[0]["pid"]
        where = f"camera {image['camera']}" if there else Path(image["name"]).name[-_WIDEST:]
        row.append(Tile(there, (said, where), right))
    return row
