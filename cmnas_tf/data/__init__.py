"""Data sets: how they lie on disk, and how their images reach the network."""

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from cmnas_tf.data import regdb, sysu_mm01
from cmnas_tf.data.index import Dataset
from cmnas_tf.errors import BadInput


@dataclass(frozen=True)
class Layout:
    """A way in which a data set lies on disk.

    Attributes:
      title: the data set's own name.
      load: reads the index of ``(root, trial)``.
      tree: how the folder looks, for people to read.
      marks: entries of the folder that tell it from other layouts.
      trials: number of splits into training and test images that the data set comes with.
    """

    title: str
    load: Callable[[Path, int], Dataset]
    tree: str
    marks: tuple[str, ...]
    trials: int = 1

    def has_all_marks(self, root: Path) -> bool:
        """Whether the folder ``root`` has every mark."""
        return all((root / mark).exists() for mark in self.marks)


LAYOUTS = {
    "sysu_mm01": Layout(
        title="SYSU-MM01",
        load=lambda root, trial: sysu_mm01.load(root),
        tree=sysu_mm01.TREE,
        marks=("exp", *(f"cam{camera}" for camera in sysu_mm01.CAMERAS)),
    ),
    "regdb": Layout(
        title="RegDB",
        load=regdb.load,
        tree=regdb.TREE,
        marks=("idx", *regdb.FOLDERS.values()),
        trials=10,
    ),
}


def load_dataset(layout: str, root: str | PathLike[str], trial: int = 1) -> Dataset:
    """Reads the index of a data set; no image file is opened.

    Args:
      layout: one of ``LAYOUTS``.
      root: the folder of the data set.
      trial: which of the data set's own splits, from 1 (RegDB: 1..10, SYSU-MM01: only 1).

    Returns:
      The data set. Its paths are relative to ``root``, with forward slashes, sorted. No identity is
      in both parts, and every training identity has an image of each modality that is trained on.

    Raises:
      BadInput: if the layout or trial does not exist, or the folder is missing, empty, of another
        layout, incomplete or contradicts itself.
    """
    if layout not in LAYOUTS:
        raise BadInput(f"layout must be one of {sorted(LAYOUTS)}. Received: {layout!r}")
    wanted, root = LAYOUTS[layout], Path(root)
    if not 1 <= trial <= wanted.trials:
        raise BadInput(
            f"{wanted.title} comes with {wanted.trials} split(s) into training and test images, so "
            f"trial must be in 1..{wanted.trials}. Received: {trial}"
        )
    for name, other in LAYOUTS.items():
        if other.has_all_marks(root) and not wanted.has_all_marks(root):
            raise BadInput(f"{root} looks like {name}, not like {layout}. Read it as {name}")
    if not any((root / mark).exists() for mark in wanted.marks):
        if not root.is_dir():
            wrong = "is a file" if root.exists() else "does not exist"
        else:
            wrong = "holds nothing of the data set" if any(root.iterdir()) else "is empty"
        raise BadInput(
            f"{root} {wrong}. It must be the folder of {wanted.title}, which looks like this:\n"
            f"{wanted.tree}\n"
            "To try things without the data set: python -m cmnas_tf.make_synthetic"
        )
    dataset = wanted.load(root, trial)
    _check(dataset)
    return dataset


def _check(dataset: Dataset) -> None:
    """Raises BadInput unless the data set can be trained on and then tested fairly."""
    train = set(dataset.train.pids.tolist())
    both = sorted(train & set(dataset.test.pids.tolist()))
    if both:
        raise BadInput(
            f"{len(both)} identities of {dataset.root} are for training and for testing, the first "
            f"of them {both[:10]}: a test would be unfair. Take them out of one of the lists"
        )
    for modality in dataset.modalities:
        without = sorted(train - set(dataset.train.of_modality(modality).pids.tolist()))
        if without:
            raise BadInput(
                f"{len(without)} training identities of {dataset.root} have no {modality} image, "
                f"the first of them {without[:10]}; training needs every identity in every "
                "modality. Unpack the images again, or take these identities out of the lists"
            )
