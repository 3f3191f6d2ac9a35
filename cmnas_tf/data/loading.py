"""From the name and the folder of a data set to its index."""

import logging
from os import PathLike
from pathlib import Path

from cmnas_tf.data import shards
from cmnas_tf.data.checks import identity_faults, missing_files
from cmnas_tf.data.index import Dataset
from cmnas_tf.data.layouts import LAYOUTS
from cmnas_tf.errors import BadInput

logger = logging.getLogger("cmnas_tf")


def load_dataset(layout: str, root: str | PathLike[str], trial: int = 1) -> Dataset:
    """Reads the index of a data set and checks it; no image is decoded.

    What the loader noticed is logged, as information.

    Args:
      layout: the data set's name in ``LAYOUTS``, for example ``"sysu_mm01"``.
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
    for note in dataset.notes:
        logger.info(note)
    return dataset


def read_dataset(layout: str, root: str | PathLike[str], trial: int = 1) -> Dataset:
    """Reads the index of a data set as :func:`load_dataset` does, without checking it.

    Raises:
      BadInput: if the layout or trial does not exist, or the folder is missing, empty, of another
        layout, incomplete or contradicts itself; or its shards are damaged or of something else.
    """
    wanted, root = LAYOUTS[layout], Path(root)
    if not 1 <= trial <= wanted.trials:
        raise BadInput(
            f"{wanted.title} comes with {wanted.trials} split(s) into training and test images, so "
            f"trial must be in 1..{wanted.trials}. Received: {trial}"
        )
    if shards.are_in(root):
        return shards.read_index(root, layout, trial)
    _require_marks(layout, root)
    return wanted.load(root, trial)


def _require_marks(layout: str, root: Path) -> None:
    """Raises BadInput if the folder is of another layout, or has nothing of this one."""
    wanted = LAYOUTS[layout]
    missing = wanted.missing_marks(root)
    # Special cases first: their folders have all marks of the more general layout too.
    for name, other in sorted(LAYOUTS.items(), key=lambda item: -len(item[1].marks)):
        is_special_case = set(other.marks) > set(wanted.marks)
        if (missing or is_special_case) and not other.missing_marks(root):
            further = sorted(set(other.marks) - set(wanted.marks))
            why = f"has no {missing[0]}" if missing else f"has {further[0]}"
            raise BadInput(
                f"{root} looks like {name}, not like {layout}: it {why}. Read it as {name}"
            )
    if len(missing) == len(wanted.marks):
        if not root.is_dir():
            wrong = "is a file" if root.exists() else "does not exist"
        else:
            wrong = "holds nothing of the data set" if any(root.iterdir()) else "is empty"
        raise BadInput(
            f"{root} {wrong}. It must be the folder of {wanted.title}, which looks like this:\n"
            f"{wanted.tree}\n"
            "To try things without the data set: `write_dataset`"
        )
