"""SYSU-MM01 (Wu et al., ICCV 2017): six cameras, 395 identities to train on and 96 to test with.

The validation identities are trained on as well, as the data set's authors allow.
"""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cmnas_tf.data.findings import Finding
from cmnas_tf.data.index import Count, Dataset, Image, Images
from cmnas_tf.data.layouts import Layout, register_dataset
from cmnas_tf.data.lists import read_identities
from cmnas_tf.data.mat_file import are_numbers, read_mat
from cmnas_tf.data.protocols import (
    TRIALS,
    Folder,
    Protocol,
    Trial,
    folders_of,
    seeded_galleries,
    trials_option,
)
from cmnas_tf.data.walk import Walk
from cmnas_tf.errors import BadInput
from cmnas_tf.modality import INFRARED, VISIBLE
from cmnas_tf.options import option

CAMERAS = {1: VISIBLE, 2: VISIBLE, 3: INFRARED, 4: VISIBLE, 5: VISIBLE, 6: INFRARED}
GALLERY_CAMERAS = {"all": (1, 2, 4, 5), "indoor": (1, 2)}
SHOTS = {1: "single_shot", 10: "multi_shot"}

TREE = """\
cam1 .. cam6/PPPP/NNNN.jpg               images by camera and identity, four digits each
exp/{train,val,test}_id.txt (or .mat)    identities, separated by commas
exp/rand_perm_cam.mat                    only for the official gallery sampling"""


def load(root: Path) -> Dataset:
    """Reads the index of SYSU-MM01.

    Raises:
      BadInput: if a camera's folder or a list of identities is missing or malformed, or a listed
        identity has no image.
    """
    if missing := [f"cam{n}" for n in CAMERAS if not (root / f"cam{n}").is_dir()]:
        raise BadInput(
            f"{root} has no {', '.join(missing)}, but SYSU-MM01 has six cameras. Unpack it whole:"
            f"\n{TREE}"
        )
    parts = _identities(root, "train") | _identities(root, "val"), _identities(root, "test")
    images, notes = _images(root, set.union(*parts))
    train, test = (Images.of(image for image in images if image.pid in pids) for pids in parts)
    return Dataset("sysu_mm01", root, train, test, notes)


@dataclass(frozen=True)
class SysuProtocol(Protocol):
    """The test protocol of SYSU-MM01.

    Every infrared image asks, in both modes; the gallery has ``shots`` images of each identity from
    each camera, drawn anew in every trial.
    """

    rule = "sysu"
    standard = ("mode", "shots")
    others = ("gallery_sampling",)

    mode: str = option(
        "all",
        "SYSU-MM01 gallery: all cameras or the indoor ones.",
        choices=tuple(GALLERY_CAMERAS),
    )
    shots: int = option(
        1, "SYSU-MM01 gallery images per identity and camera.", choices=tuple(SHOTS)
    )
    trials: int = trials_option()
    gallery_sampling: str = option(
        "seeded",
        "SYSU-MM01 gallery: as the AGW and CM-NAS code draws it, or the official permutation.",
        choices=("seeded", "official"),
    )

    def trials_of(self, dataset: Dataset) -> Iterator[Trial]:
        """See :class:`~cmnas_tf.data.protocols.Protocol`."""
        test = dataset.test
        folders = folders_of(test, GALLERY_CAMERAS[self.mode])
        for camera, pid, rows in folders:
            if len(rows) < self.shots:
                raise BadInput(
                    f"A gallery with shots={self.shots} needs that many images of each identity "
                    f"from each camera, but cam{camera}/{pid:04d} of {dataset.root} has "
                    f"{len(rows)}. Use shots=1"
                )
        query, setting = test.of_modality(INFRARED), f"{self.mode}_{SHOTS[self.shots]}"
        seeded = self.gallery_sampling == "seeded"
        if seeded:
            galleries = seeded_galleries(folders, self.shots)
        else:
            galleries = _official_galleries(dataset.root, folders, self.shots)
        for seed, rows in enumerate(galleries[: self.trials]):
            name = f"{setting}_trial_{seed + 1}"
            yield Trial(name, query, test[rows], self.rule, setting, seed if seeded else None)


def _official_galleries(root: Path, folders: list[Folder], shots: int) -> list[list[int]]:
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


def gallery_orders(root: Path) -> dict[tuple[int, int], np.ndarray]:
    """The official order of each folder's images, from ``exp/rand_perm_cam.mat``.

    Returns:
      ``{(camera, pid): [10, n] image numbers from 1}``: row t lists the folder's n images, sorted
      by name, in the order in which the gallery of trial t takes them.

    Raises:
      BadInput: if the file is missing or has another form.
    """
    file = root / "exp" / "rand_perm_cam.mat"
    if not file.is_file():
        raise BadInput(
            f"{file} is missing, and the official gallery sampling is written in it. Get it from "
            "evaluation/data_split of github.com/wuancong/SYSU-MM01, or use gallery_sampling=seeded"
        )
    cameras = read_mat(file, "rand_perm_cam")
    is_cell = isinstance(cameras, list) and len(cameras) == len(CAMERAS)
    if not is_cell or not all(isinstance(c, list) and all(map(are_numbers, c)) for c in cameras):
        raise BadInput(
            f"{file}: rand_perm_cam must be a cell of {len(CAMERAS)} cameras, and each of these a "
            "cell of tables of numbers; get the file anew"
        )
    return {
        (camera, pid): orders
        for camera, people in enumerate(cameras, start=1)
        for pid, orders in enumerate(people, start=1)
        if orders.size
    }


def _images(root: Path, pids: set[int]) -> tuple[list[Image], tuple[Finding, ...]]:
    """All images of ``pids``, sorted by path, and what is left out."""
    walk = Walk(root)
    people = {
        f"cam{camera}/{pid:04d}": (pid, camera, modality)
        for camera, modality in CAMERAS.items()
        for pid in sorted(pids)
    }
    images = [Image(path, *person) for path, person in walk.images_in(people)]
    if absent := sorted(pids - {image.pid for image in images}):
        raise BadInput(
            f"{len(absent)} identities of {root / 'exp'} have no image under any camera, the first "
            f"of them {absent[:10]}. Unpack the images again, or take these identities out of the "
            "lists"
        )
    full = {posixpath.dirname(image.path) for image in images}
    empty = [
        Finding(folder, "the folder holds no image")
        for folder in people
        if folder not in full and (root / folder).is_dir()
    ]
    return sorted(images), (*walk.left_out, *empty)


def _identities(root: Path, split: str) -> set[int]:
    """The identities of ``exp/{split}_id.txt``, or of the ``.mat`` file where there is no text."""
    text, mat = (root / "exp" / f"{split}_id{suffix}" for suffix in (".txt", ".mat"))
    if text.is_file():
        return read_identities(text)
    if not mat.is_file():
        raise BadInput(
            f"Neither {text} nor {mat.name} exists; they say who is in the {split} split. "
            f"SYSU-MM01 comes with both:\n{TREE}"
        )
    numbers = read_mat(mat, "id")
    if not are_numbers(numbers) or (numbers % 1 != 0).any():
        raise BadInput(f"{mat}: id must hold identity numbers. Received: {str(numbers)[:60]}")
    if not numbers.size:
        raise BadInput(f"{mat} lists no identity; get the file anew")
    return set(numbers.astype(int).ravel().tolist())


register_dataset(
    "sysu_mm01",
    Layout(
        title="SYSU-MM01",
        load=lambda root, trial: load(root),
        tree=TREE,
        marks=("exp", *(f"cam{camera}" for camera in CAMERAS)),
        protocol=SysuProtocol,
        published={  # Wu et al., ICCV 2017; the infrared test images are the queries
            "train visible": Count(22258, 395),
            "train infrared": Count(11909, 395),
            "test infrared": Count(3803, 96),
        },
        companions=("exp/rand_perm_cam.mat",),
    ),
)
