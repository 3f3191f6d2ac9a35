"""Test protocols: which images ask, which images answer, and under which rule.

A protocol turns the test images of a data set into trials. A trial is one ranking; trials of the
same setting are averaged into one line of a result table. The protocol of a data set stands in that
data set's file; here is what several of them share.
"""

import itertools
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np

from cmnas_tf.data.camera_rules import QueryCounts
from cmnas_tf.data.index import ROLES, Dataset, Images
from cmnas_tf.modality import INFRARED, VISIBLE
from cmnas_tf.options import Options, advanced, option

P = TypeVar("P", bound="Protocol")


@dataclass(frozen=True)
class Trial:
    """One ranking of a gallery by queries."""

    name: str  # for example "all_single_shot_trial_3" or "visible_to_infrared"
    query: Images  # the images that are searched for
    gallery: Images  # the images that are ranked
    rule: str  # the camera rule and way of counting, a name of ``camera_rules.RULES``
    setting: str  # what several trials are averaged over, for example "all_single_shot"
    gallery_seed: int | None = None  # what the gallery was drawn with, None where it was not

    @property
    def counts(self) -> QueryCounts:
        """How many of its queries count."""
        query, gallery = self.query, self.gallery
        labels = query.pids, gallery.pids, query.cameras, gallery.cameras
        return QueryCounts.of(*labels, self.rule)

    def divided(self, rows: np.ndarray, images: Images) -> tuple[np.ndarray, np.ndarray]:
        """Of rows, one for each of ``images``, those of the queries and those of the gallery."""
        row_of = {path: row for row, path in enumerate(images.paths)}
        query, gallery = (
            rows[np.array([row_of[path] for path in part.paths], np.int64)]
            for part in (self.query, self.gallery)
        )
        return query, gallery


@dataclass(frozen=True)
class Protocol(Options):
    """Base of the test protocols; the options of one are what its authors left to choose.

    Where two protocols have an option of one name, it is the same option in both.
    """

    rule: ClassVar[str]  # the camera rule and way of counting of all trials, see Trial
    # The options of which published tables have every choice.
    standard: ClassVar[tuple[str, ...]] = ()
    others: ClassVar[tuple[str, ...]] = ()  # those of which a whole table has every choice besides

    def variants(self: P, which: str) -> list[P]:
        """This protocol as ``"given"``, or with every choice of those of its options that are
        ``"standard"``; ``"all"``: of the others too."""
        names = {"standard": self.standard, "all": self.standard + self.others}.get(which, ())
        choices = {known.name: known.choices for known in self.options()}
        every = itertools.product(*(choices[name] for name in names))
        return [self.with_values(**dict(zip(names, values, strict=True))) for values in every]

    def trials_of(self, dataset: Dataset) -> Iterator[Trial]:
        """The trials, one after the other.

        Args:
          dataset: a data set with this protocol; only its test images are used.

        Raises:
          BadInput: the test images do not suffice for a gallery.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class SingleQuery(Protocol):
    """Every query asks alone, in the whole gallery; of data sets that say who asks."""

    rule = "market"

    camera_rule: bool = advanced(
        True,
        "Data sets that say who asks: hide from a query the gallery images of its identity from "
        "its own camera, as published results do. Without it (our choice) images of a single "
        "camera can be tested.",
    )

    def trials_of(self, dataset: Dataset) -> Iterator[Trial]:
        """See :class:`Protocol`."""
        query, gallery = (dataset.test[dataset.test.roles == role] for role in ROLES)
        name, rule = "single_query", self.rule
        if not self.camera_rule:
            name, rule = "single_query_any_camera", "regdb"
        yield Trial(name, query, gallery, rule, name)


# Either modality can ask

DIRECTIONS = {
    "visible_to_infrared": (VISIBLE, INFRARED),
    "infrared_to_visible": (INFRARED, VISIBLE),
}


def direction_option() -> Any:
    """The option ``direction``."""
    return option(
        "both", "RegDB, LLCM: which modality asks for which.", choices=("both", *DIRECTIONS)
    )


def sides(test: Images, direction: str) -> Iterator[tuple[str, Images, Images]]:
    """The name of each direction that is wanted, the images that ask and those of the other
    modality."""
    for name in DIRECTIONS if direction == "both" else (direction,):
        query, others = map(test.of_modality, DIRECTIONS[name])
        yield name, query, others


# Galleries that are drawn

TRIALS = 10

# The images of one identity from one camera: (camera, pid, rows of a table, sorted by name).
Folder = tuple[int, int, list[int]]


def trials_option() -> Any:
    """The option ``trials``."""
    return option(TRIALS, "SYSU-MM01, LLCM: galleries to average over.", minimum=1, maximum=TRIALS)


def folders_of(images: Images, cameras: Iterable[int]) -> list[Folder]:
    """The folders that hold images, by identity and then by camera."""
    folders = (
        (camera, pid, np.flatnonzero((images.pids == pid) & (images.cameras == camera)).tolist())
        for pid in np.unique(images.pids).tolist()
        for camera in cameras
    )
    return [folder for folder in folders if folder[2]]


def seeded_galleries(folders: list[Folder], shots: int) -> list[list[int]]:
    """The rows of each trial's gallery, ``shots`` of each folder.

    As in the released code of AGW, CM-NAS and LLCM: trial t draws with Python's generator of seed
    t - 1, folder by folder.
    """
    return [
        [row for _, _, rows in folders for row in generator.sample(rows, shots)]
        for generator in map(random.Random, range(TRIALS))
    ]
