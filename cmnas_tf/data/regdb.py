"""RegDB (Nguyen et al., Sensors 2017): 412 identities, 10 visible and 10 thermal images of each.

Half of the identities are trained on, the other half tested with. Ten such splits come with the
data set as lists, and a result is the mean over ten trainings.
"""

import re
from pathlib import Path

from cmnas_tf.data.index import Dataset, Image, Images
from cmnas_tf.errors import BadInput
from cmnas_tf.modality import INFRARED, VISIBLE

# RegDB numbers no cameras; these numbers are our choice.
CAMERAS = {1: VISIBLE, 2: INFRARED}
FOLDERS = {1: "Visible", 2: "Thermal"}

TREE = """\
Visible/<identity>/*.bmp                          visible images
Thermal/<identity>/*.bmp                          infrared images
idx/{train,test}_{visible,thermal}_{1..10}.txt    lines "path label", one file for each trial"""


def load(root: Path, trial: int) -> Dataset:
    """Reads the index of one trial of RegDB.

    An identity is the number of its folder; the lists' labels count each split from 0.

    Args:
      root: the folder that holds ``Visible``, ``Thermal`` and ``idx``.
      trial: which of the ten splits, 1..10.

    Returns:
      The data set, with camera 1 for visible and camera 2 for infrared images.

    Raises:
      BadInput: if a list or an image is missing, or a line is malformed or contradicts another.
    """
    train, test = (_images(root, split, trial) for split in ("train", "test"))
    return Dataset(layout="regdb", root=root, train=train, test=test)


def _images(root: Path, split: str, trial: int) -> Images:
    """The images of a split, sorted by path."""
    images = []
    label_of: dict[str, str] = {}
    pid_of: dict[str, str] = {}
    for camera, folder in FOLDERS.items():
        file = root / "idx" / f"{split}_{folder.lower()}_{trial}.txt"
        if not file.is_file():
            raise BadInput(f"{file} is missing. RegDB comes with a list for each trial:\n{TREE}")
        line_form = re.compile(rf"({folder}/(\d+)/[^/]+?)\s+(\d+)\s*")
        for number, line in enumerate(file.read_text().splitlines(), start=1):
            match = line_form.fullmatch(line)
            if not match:
                raise BadInput(
                    f"{file}, line {number}, must read '{folder}/<identity>/<file> <label>'. "
                    f"Received: {line!r}"
                )
            path, pid, label = match.groups()
            if (label_of.setdefault(pid, label), pid_of.setdefault(label, pid)) != (label, pid):
                raise BadInput(
                    f"{file}, line {number}, gives identity {pid} the label {label}, but a line "
                    f"before gives identity {pid_of[label]} the label {label_of[pid]}; an identity "
                    f"has one label in a split. Get the lists of trial {trial} anew"
                )
            images.append(Image(path, int(pid), camera, CAMERAS[camera]))
    missing = [image.path for image in images if not (root / image.path).is_file()]
    if missing:
        raise BadInput(
            f"{len(missing)} images in the {split} lists of trial {trial} are not in {root}, the "
            f"first of them {missing[0]}. Unpack the images again"
        )
    return Images.of(sorted(images))
