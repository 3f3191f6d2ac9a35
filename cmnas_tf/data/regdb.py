"""RegDB (Nguyen et al., Sensors 2017): 412 identities, 10 visible and 10 thermal images of each.

Half of the identities are trained on, the other half tested with. Ten such splits come with the
data set as lists, and a result is the mean over ten trainings.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cmnas_tf.data.index import Count, Dataset, Image, Images
from cmnas_tf.data.layouts import Layout, register_dataset
from cmnas_tf.data.lists import read_lists
from cmnas_tf.data.protocols import Protocol, Trial, direction_option, sides
from cmnas_tf.data.walk import Walk
from cmnas_tf.modality import INFRARED, VISIBLE

# RegDB numbers no cameras; these numbers are our choice.
CAMERAS = {1: VISIBLE, 2: INFRARED}
FOLDERS = {1: "Visible", 2: "Thermal"}

TREE = """\
Visible/<identity>/*.bmp                          visible images
Thermal/<identity>/*.bmp                          infrared images
idx/{train,test}_{visible,thermal}_{1..10}.txt    lines "path label", one file for each trial"""


def load(root: Path, trial: int) -> Dataset:
    """Reads the index of RegDB's split ``trial``, 1..10.

    An identity is the number of its folder; the lists' labels count each split from 0.

    Raises:
      BadInput: if a list is missing, or a line is malformed or contradicts another.
    """
    train, test = (_images(root, split, trial) for split in ("train", "test"))
    notes = Walk(root).unlisted(FOLDERS.values(), {*train.paths, *test.paths})
    return Dataset("regdb", root, train, test, notes, trial)


def _images(root: Path, split: str, trial: int) -> Images:
    """The images of a split, sorted by path."""
    lists = [
        (f"idx/{split}_{folder.lower()}_{trial}.txt", f"{folder}/<identity>/<file>", camera)
        for camera, folder in FOLDERS.items()
    ]
    images = [
        Image(line["path"], int(line["identity"]), camera, CAMERAS[camera])
        for camera, line in read_lists(root, lists, TREE)
    ]
    return Images.of(sorted(images))


@dataclass(frozen=True)
class RegdbProtocol(Protocol):
    """The test protocol of RegDB: all images of one modality ask, all of the other answer."""

    rule = "regdb"

    direction: str = direction_option()

    def trials_of(self, dataset: Dataset) -> Iterator[Trial]:
        """See :class:`~cmnas_tf.data.protocols.Protocol`."""
        for name, query, gallery in sides(dataset.test, self.direction):
            yield Trial(name, query, gallery, self.rule, name)


register_dataset(
    "regdb",
    Layout(
        title="RegDB",
        load=load,
        tree=TREE,
        marks=("idx", *FOLDERS.values()),
        protocol=RegdbProtocol,
        published={  # Nguyen et al., Sensors 2017, in each trial
            "train visible": Count(2060, 206),
            "train infrared": Count(2060, 206),
            "test visible": Count(2060, 206),
            "test infrared": Count(2060, 206),
        },
        trials=10,
    ),
)
