"""LLCM (Zhang and Wang, CVPR 2023): nine cameras by day and by night, 713 + 351 identities.

A camera has the same number in both modalities; camera 3 has no infrared images to test with.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cmnas_tf.data.index import Count, Dataset, Image, Images
from cmnas_tf.data.layouts import Layout, register_dataset
from cmnas_tf.data.lists import read_identities, read_lists
from cmnas_tf.data.protocols import (
    Protocol,
    Trial,
    direction_option,
    folders_of,
    seeded_galleries,
    sides,
    trials_option,
)
from cmnas_tf.data.walk import Walk
from cmnas_tf.errors import BadInput
from cmnas_tf.modality import INFRARED, VISIBLE

FOLDERS = {VISIBLE: "vis", INFRARED: "nir"}
TEST_CAMERAS = {VISIBLE: (1, 2, 3, 4, 5, 6, 7, 8, 9), INFRARED: (1, 2, 4, 5, 6, 7, 8, 9)}

TREE = """\
vis/PPPP/PPPP_cCC_*.jpg, nir/PPPP/PPPP_cCC_*.jpg   images to train on; identity P, camera C
test_vis/cam1 .. cam9/PPPP/*.jpg                   visible images to test with
test_nir/cam1, cam2, cam4 .. cam9/PPPP/*.jpg       infrared images to test with
idx/train_vis.txt, train_nir.txt                   lines "path label"
idx/test_id.txt                                    identities, separated by commas"""


def load(root: Path) -> Dataset:
    """Reads the index of LLCM; an identity is the number of its folder, not the lists' label.

    Raises:
      BadInput: if a list or a camera's folder is missing, a list is malformed or contradicts
        itself, or a test identity has no image.
    """
    walk = Walk(root)
    train, test = _train(root), _test(root, walk)
    return Dataset("llcm", root, train, test, walk.unlisted(FOLDERS.values(), set(train.paths)))


def _train(root: Path) -> Images:
    """The listed images, sorted by path."""
    lists = [
        (f"idx/train_{folder}.txt", f"{folder}/<identity>/<word>_c<camera>_<file>", modality)
        for modality, folder in FOLDERS.items()
    ]
    images = [
        Image(line["path"], int(line["identity"]), int(line["camera"]), modality)
        for modality, line in read_lists(root, lists, TREE)
    ]
    return Images.of(sorted(images))


def _test(root: Path, walk: Walk) -> Images:
    """All images of the test identities, sorted by path; ``walk`` remembers the others."""
    listed = root / "idx" / "test_id.txt"
    if not listed.is_file():
        raise BadInput(f"{listed} is missing; it says who is tested with:\n{TREE}")
    pids = read_identities(listed)
    people: dict[str, tuple[int, int, str]] = {}
    for modality, cameras in TEST_CAMERAS.items():
        for camera in cameras:
            folder = f"test_{FOLDERS[modality]}/cam{camera}"
            if not (root / folder).is_dir():
                raise BadInput(f"{root} has no {folder}. Unpack LLCM whole:\n{TREE}")
            people |= {f"{folder}/{pid:04d}": (pid, camera, modality) for pid in pids}
    images = [Image(path, *person) for path, person in walk.images_in(people)]
    if absent := sorted(pids - {image.pid for image in images}):
        raise BadInput(
            f"{len(absent)} identities of {listed} have no image under any camera, the first of "
            f"them {absent[:10]}. Unpack the images again, or take these identities out of the list"
        )
    return Images.of(sorted(images))


@dataclass(frozen=True)
class LlcmProtocol(Protocol):
    """The test protocol of LLCM.

    All images of one modality ask; the gallery has one image of the other modality of each identity
    from each camera, drawn anew in every trial.

    The authors' released test swaps the two sides of ``visible_to_infrared``: there the drawn
    infrared images ask, and all visible ones answer. Results are not to be compared with those.
    """

    rule = "llcm"

    direction: str = direction_option()
    trials: int = trials_option()

    def trials_of(self, dataset: Dataset) -> Iterator[Trial]:
        """See :class:`~cmnas_tf.data.protocols.Protocol`."""
        for name, query, others in sides(dataset.test, self.direction):
            folders = folders_of(others, np.unique(others.cameras).tolist())
            for seed, rows in enumerate(seeded_galleries(folders, shots=1)[: self.trials]):
                yield Trial(f"{name}_trial_{seed + 1}", query, others[rows], self.rule, name, seed)


register_dataset(
    "llcm",
    Layout(
        title="LLCM",
        load=lambda root, trial: load(root),
        tree=TREE,
        marks=("idx", *FOLDERS.values(), *(f"test_{folder}" for folder in FOLDERS.values())),
        protocol=LlcmProtocol,
        published={  # Zhang and Wang, CVPR 2023
            "train visible": Count(16946, 713),
            "train infrared": Count(13975, 713),
            "test visible": Count(8680, 351),
            "test infrared": Count(7166, 351),
        },
    ),
)
