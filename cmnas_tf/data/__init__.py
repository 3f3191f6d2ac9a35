"""Data sets: how they lie on disk, and how their images reach the network."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

from cmnas_tf.data import cuhk03_np, llcm, market1501, msmt17, own_images, regdb, shards, sysu_mm01
from cmnas_tf.data.checks import identity_faults, missing_files
from cmnas_tf.data.index import Count, Dataset
from cmnas_tf.errors import BadInput


@dataclass(frozen=True)
class Layout:
    """A way in which a data set lies on disk.

    Attributes:
      title: the data set's own name.
      load: reads the index of ``(root, trial)``.
      tree: how the folder looks, for people to read.
      marks: entries of the folder that tell it from other layouts.
      published: how large its parts are by its authors, as :meth:`Dataset.counts` names them; what
        they do not say is left out.
      trials: number of splits into training and test images that the data set comes with.
      companions: files that a test protocol needs beside the images, where there are any.
    """

    title: str
    load: Callable[[Path, int], Dataset]
    tree: str
    marks: tuple[str, ...]
    published: Mapping[str, Count] = field(default_factory=dict)
    trials: int = 1
    companions: tuple[str, ...] = ()

    def has_all_marks(self, root: Path) -> bool:
        """Whether the folder ``root`` has every mark."""
        return all((root / mark).exists() for mark in self.marks)


def _cuhk03_np(boxes: str, published: Mapping[str, Count]) -> Layout:
    return Layout(
        title=f"CUHK03-NP ({boxes})",
        load=lambda root, trial: cuhk03_np.load(root, boxes),
        tree=cuhk03_np.TREE,
        marks=(boxes,),
        published=published,
    )


LAYOUTS = {
    "sysu_mm01": Layout(
        title="SYSU-MM01",
        load=lambda root, trial: sysu_mm01.load(root),
        tree=sysu_mm01.TREE,
        marks=("exp", *(f"cam{camera}" for camera in sysu_mm01.CAMERAS)),
        published={  # Wu et al., ICCV 2017; the infrared test images are the queries
            "train visible": Count(22258, 395),
            "train infrared": Count(11909, 395),
            "test infrared": Count(3803, 96),
        },
        companions=("exp/rand_perm_cam.mat",),
    ),
    "regdb": Layout(
        title="RegDB",
        load=regdb.load,
        tree=regdb.TREE,
        marks=("idx", *regdb.FOLDERS.values()),
        published={  # Nguyen et al., Sensors 2017, in each trial
            "train visible": Count(2060, 206),
            "train infrared": Count(2060, 206),
            "test visible": Count(2060, 206),
            "test infrared": Count(2060, 206),
        },
        trials=10,
    ),
    "llcm": Layout(
        title="LLCM",
        load=lambda root, trial: llcm.load(root),
        tree=llcm.TREE,
        marks=("idx", "vis", "nir", "test_vis", "test_nir"),
        published={  # Zhang and Wang, CVPR 2023
            "train visible": Count(16946, 713),
            "train infrared": Count(13975, 713),
            "test visible": Count(8680, 351),
            "test infrared": Count(7166, 351),
        },
    ),
    "market1501": Layout(
        title="Market-1501",
        load=lambda root, trial: market1501.load(root),
        tree=market1501.TREE,
        marks=tuple(market1501.ROLE_OF),
        published={  # Zheng et al., ICCV 2015; junk is not counted, the distractors as one identity
            "train visible": Count(12936, 751),
            "query visible": Count(3368, 750),
            "gallery visible": Count(15913, 751),
        },
    ),
    "cuhk03_np_detected": _cuhk03_np(
        "detected",
        {  # Zhong et al., CVPR 2017
            "train visible": Count(7365, 767),
            "query visible": Count(1400, 700),
            "gallery visible": Count(5332, 700),
        },
    ),
    "cuhk03_np_labeled": _cuhk03_np(
        "labeled",
        {  # Zhong et al., CVPR 2017
            "train visible": Count(7368, 767),
            "query visible": Count(1400, 700),
            "gallery visible": Count(5328, 700),
        },
    ),
    "msmt17": Layout(
        title="MSMT17",
        load=lambda root, trial: msmt17.load(root),
        tree=msmt17.TREE,
        marks=tuple(f"list_{part}.txt" for part in ("train", "val", "query", "gallery")),
        published={  # Wei et al., CVPR 2018
            "train visible": Count(32621, 1041),
            "query visible": Count(11659, 3060),
            "gallery visible": Count(82161, 3060),
        },
    ),
    "own_images": Layout(
        title="images of your own",
        load=lambda root, trial: own_images.load_table(root),
        tree=own_images.TABLE_TREE,
        marks=(own_images.TABLE,),
    ),
    "own_folders": Layout(
        title="images of your own in folders",
        load=lambda root, trial: own_images.load_folders(root),
        tree=own_images.FOLDER_TREE,
        marks=own_images.SPLITS,
    ),
}


def load_dataset(layout: str, root: str | PathLike[str], trial: int = 1) -> Dataset:
    """Reads the index of a data set and checks it; no image is decoded.

    Args:
      layout: one of ``LAYOUTS``.
      root: the folder of the data set, or of its shards (see ``cmnas_tf.data.shards``).
      trial: which of the data set's own splits, from 1 (RegDB: 1..10, the others: only 1).

    Returns:
      The data set. Its paths are relative to ``root`` (``images.csv`` may have absolute ones), with
      forward slashes, sorted. No identity is in both parts, and every training identity has an
      image of each modality that is trained on.

    Raises:
      BadInput: see :func:`read_dataset`; or images are missing, or the identities are not as above.
    """
    dataset = read_dataset(layout, root, trial)
    faults = [*missing_files(dataset), *identity_faults(dataset)]
    if faults:
        raise BadInput("\n".join(faults))
    return dataset


def read_dataset(layout: str, root: str | PathLike[str], trial: int = 1) -> Dataset:
    """Reads the index of a data set as :func:`load_dataset` does, without checking it.

    Raises:
      BadInput: if the layout or trial does not exist, or the folder is missing, empty, of another
        layout, incomplete or contradicts itself; or its shards are damaged or of something else.
    """
    if layout not in LAYOUTS:
        raise BadInput(f"layout must be one of {sorted(LAYOUTS)}. Received: {layout!r}")
    wanted, root = LAYOUTS[layout], Path(root)
    if not 1 <= trial <= wanted.trials:
        raise BadInput(
            f"{wanted.title} comes with {wanted.trials} split(s) into training and test images, so "
            f"trial must be in 1..{wanted.trials}. Received: {trial}"
        )
    if shards.are_in(root):
        return shards.read_index(root, layout, trial)
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
    return wanted.load(root, trial)
