"""Test protocols: which images ask, which images answer, and under which rule.

A protocol turns the test images of a data set into trials. A trial is one ranking; trials of the
same setting are averaged into one line of a result table.
"""

import inspect
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cmnas_tf.data.index import ROLES, Dataset, Images
from cmnas_tf.data.sysu_mm01 import gallery_orders
from cmnas_tf.errors import BadInput
from cmnas_tf.modality import INFRARED, VISIBLE


@dataclass(frozen=True)
class Trial:
    """One ranking of a gallery by queries.

    Attributes:
      name: what it is, for example ``"all_single_shot_trial_3"`` or ``"visible_to_infrared"``.
      query: the images that are searched for.
      gallery: the images that are ranked.
      rule: the camera rule and way of counting, a name of ``retrieval.ranking.RULES``.
      setting: what the results of several trials are averaged over, for example
        ``"all_single_shot"``.
      gallery_seed: what the gallery was drawn with, None where it was not.
    """

    name: str
    query: Images
    gallery: Images
    rule: str
    setting: str
    gallery_seed: int | None = None


def trials(dataset: Dataset, **settings: Any) -> Iterator[Trial]:
    """The trials of a data set's protocol, one after the other.

    Args:
      dataset: the data set; only its test images are used.
      **settings: those of :func:`settings_of` the data set's layout that shall not have their
        default value. For ``"sysu_mm01"``: ``mode`` (``"all"``: gallery of cameras 1, 2, 4, 5;
        ``"indoor"``: of 1, 2), ``shots`` (gallery images per identity and camera: 1 or 10),
        ``trials`` (1..10) and ``gallery_sampling`` (``"seeded"`` or ``"official"``). For
        ``"regdb"``: ``direction`` (``"both"``, ``"visible_to_infrared"`` or
        ``"infrared_to_visible"``). For ``"llcm"``: ``direction`` and ``trials``.

    Yields:
      The trials.

    Raises:
      BadInput: if the layout has no protocol, a setting is not the layout's or has no such value,
        or the test images do not suffice for the gallery.
    """
    unknown = sorted(set(settings) - set(settings_of(dataset.layout)))
    if unknown:
        raise BadInput(
            f"{dataset.layout} has no setting {', '.join(unknown)} of its test protocol; it has "
            f"{', '.join(settings_of(dataset.layout)) or 'none'}"
        )
    yield from _PROTOCOLS[dataset.layout](dataset, **settings)


def settings_of(layout: str) -> tuple[str, ...]:
    """The names of the settings of a layout's test protocol."""
    if layout not in _PROTOCOLS:
        raise BadInput(f"There is a test protocol for {sorted(_PROTOCOLS)}. Received: {layout!r}")
    return tuple(inspect.signature(_PROTOCOLS[layout]).parameters)[1:]


# Galleries that are drawn

TRIALS = 10

# The images of one identity from one camera: (camera, pid, rows of a table, sorted by name).
_Folder = tuple[int, int, list[int]]


def _folders(images: Images, cameras: Iterable[int]) -> list[_Folder]:
    """The folders that hold images, by identity and then by camera."""
    folders = (
        (camera, pid, np.flatnonzero((images.pids == pid) & (images.cameras == camera)).tolist())
        for pid in np.unique(images.pids).tolist()
        for camera in cameras
    )
    return [folder for folder in folders if folder[2]]


def _seeded(root: Path, folders: list[_Folder], shots: int) -> list[list[int]]:
    """As in the released code of AGW, CM-NAS and LLCM: trial t draws with Python's generator of
    seed t - 1, folder by folder."""
    generators = [random.Random(seed) for seed in range(TRIALS)]
    return [
        [row for _, _, rows in folders for row in generator.sample(rows, shots)]
        for generator in generators
    ]


# SYSU-MM01

GALLERY_CAMERAS = {"all": (1, 2, 4, 5), "indoor": (1, 2)}
SHOTS = {1: "single_shot", 10: "multi_shot"}


def _sysu_mm01(
    dataset: Dataset,
    mode: str = "all",
    shots: int = 1,
    trials: int = TRIALS,
    gallery_sampling: str = "seeded",
) -> Iterator[Trial]:
    """Every infrared image asks, in both modes; the gallery has ``shots`` images of each identity
    from each camera, drawn anew in every trial."""
    _one_of("mode", mode, GALLERY_CAMERAS)
    _one_of("shots", shots, SHOTS)
    _one_of("trials", trials, range(1, TRIALS + 1))
    _one_of("gallery_sampling", gallery_sampling, _GALLERY_SAMPLINGS)
    test = dataset.test
    folders = _folders(test, GALLERY_CAMERAS[mode])
    for camera, pid, rows in folders:
        if len(rows) < shots:
            raise BadInput(
                f"A gallery with shots={shots} needs that many images of each identity from each "
                f"camera, but cam{camera}/{pid:04d} of {dataset.root} has {len(rows)}. Use shots=1"
            )
    query = test.of_modality(INFRARED)
    galleries = _GALLERY_SAMPLINGS[gallery_sampling](dataset.root, folders, shots)
    for number, rows in enumerate(galleries[:trials], start=1):
        setting = f"{mode}_{SHOTS[shots]}"
        seed = number - 1 if gallery_sampling == "seeded" else None
        yield Trial(f"{setting}_trial_{number}", query, test[rows], "sysu", setting, seed)


def _official(root: Path, folders: list[_Folder], shots: int) -> list[list[int]]:
    """As in the data set's evaluation code: trial t takes the first images of its row of
    ``exp/rand_perm_cam.mat``."""
    orders = gallery_orders(root)
    galleries: list[list[int]] = [[] for _ in range(TRIALS)]
    for camera, pid, rows in folders:
        order = orders.get((camera, pid), np.empty((TRIALS, 0)))
        numbers = np.arange(1, len(rows) + 1)
        if order.shape != (TRIALS, len(rows)) or (np.sort(order) != numbers).any():
            raise BadInput(
                f"exp/rand_perm_cam.mat must hold {TRIALS} orders of {len(rows)} images for "
                f"cam{camera}/{pid:04d} of {root}. Received: a table {order.shape}. Unpack images "
                "and lists again, or use gallery_sampling=seeded"
            )
        for gallery, places in zip(galleries, order[:, :shots].tolist(), strict=True):
            gallery += [rows[place - 1] for place in places]
    return galleries


_GALLERY_SAMPLINGS = {"seeded": _seeded, "official": _official}


# RegDB and LLCM

DIRECTIONS = {
    "visible_to_infrared": (VISIBLE, INFRARED),
    "infrared_to_visible": (INFRARED, VISIBLE),
}


def _directions(test: Images, direction: str) -> Iterator[tuple[str, Images, Images]]:
    """The name of each direction that is wanted, the images that ask and those of the other
    modality."""
    _one_of("direction", direction, ("both", *DIRECTIONS))
    for name in DIRECTIONS if direction == "both" else (direction,):
        query, others = map(test.of_modality, DIRECTIONS[name])
        yield name, query, others


def _regdb(dataset: Dataset, direction: str = "both") -> Iterator[Trial]:
    """All images of one modality ask, all of the other answer."""
    for name, query, gallery in _directions(dataset.test, direction):
        yield Trial(name, query, gallery, "regdb", name)


def _llcm(dataset: Dataset, direction: str = "both", trials: int = TRIALS) -> Iterator[Trial]:
    """All images of one modality ask; the gallery has one image of the other modality of each
    identity from each camera, drawn anew in every trial.

    The authors' released test swaps the two sides of ``visible_to_infrared``: there the drawn
    infrared images ask, and all visible ones answer. Results are not to be compared with those.
    """
    _one_of("trials", trials, range(1, TRIALS + 1))
    for name, query, others in _directions(dataset.test, direction):
        folders = _folders(others, np.unique(others.cameras).tolist())
        galleries = _seeded(dataset.root, folders, shots=1)
        for number, rows in enumerate(galleries[:trials], start=1):
            trial = f"{name}_trial_{number}"
            yield Trial(trial, query, others[rows], "llcm", name, gallery_seed=number - 1)


# Data sets that say themselves who asks


def _single_query(dataset: Dataset) -> Iterator[Trial]:
    """Every query is searched for on its own, in the whole gallery."""
    query, gallery = (dataset.test[dataset.test.roles == role] for role in ROLES)
    yield Trial("single_query", query, gallery, "market", "single_query")


_PROTOCOLS: dict[str, Callable[..., Iterator[Trial]]] = {
    "sysu_mm01": _sysu_mm01,
    "regdb": _regdb,
    "llcm": _llcm,
    "market1501": _single_query,
    "cuhk03_np_detected": _single_query,
    "cuhk03_np_labeled": _single_query,
    "msmt17": _single_query,
    "own_images": _single_query,
    "own_folders": _single_query,
}


def _one_of(name: str, value: Any, allowed: Any) -> None:
    if value not in allowed:
        words = ", ".join(map(str, allowed))
        raise BadInput(f"{name} must be one of {words}. Received: {value!r}")
