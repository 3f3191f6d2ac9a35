"""Images, and what the folders they lie in tell of them."""

import logging
import os
import re
from pathlib import Path
from typing import NamedTuple

from cmnas_tf.data.findings import sentences
from cmnas_tf.data.own_images import MODALITY_OF
from cmnas_tf.data.walk import SUFFIXES, Walk
from cmnas_tf.errors import BadInput
from cmnas_tf.modality import MODALITIES

logger = logging.getLogger("cmnas_tf")

TREE = """\
{visible,infrared}/cam<camera>/<id>/*.{jpg,png,bmp}
              camera and id are any text; one modality may be missing"""

# As SYSU-MM01 and the data set own_folders have it.
_PERSON = re.compile(r"cam([^/]+)/([^/]+)/[^/]+$")


class Entry(NamedTuple):
    """An image: its path, whom it shows, and from which camera; empty where that is not known."""

    name: str
    id: str
    camera: str
    modality: str

    def shows(self, id: str) -> bool | None:
        """Whether it is an image of this person; None where its own is not known."""
        return self.id == id if self.id else None


def entries_of(folder: Path) -> list[Entry]:
    """The images of a folder for a gallery, sorted by name, which is their path from it on.

    Raises:
      BadInput: there are none, or one does not lie where its camera and id can be told.
    """
    entries = [entry_of(name, os.fspath(folder)) for name in _image_files(folder)]
    if not entries:
        raise BadInput(f"{folder} holds no gallery images. They lie in\n{TREE}")
    return entries


def entry_of(name: str, where: str) -> Entry:
    """The image of this name in a folder; BadInput: its camera and id cannot be told."""
    levels = name.split("/")
    if len(levels) != 4 or levels[0] not in MODALITIES or not levels[1].startswith("cam"):
        raise BadInput(f"{where}/{name} does not lie where it should:\n{TREE}")
    modality, camera, identity, _ = levels
    return Entry(name, identity, camera.removeprefix("cam"), modality)


def find_images(place: str, modality: str) -> list[Entry]:
    """The images of a folder and its subfolders for a client, sorted, or a single one.

    Args:
      place: a folder or a file. ``.../cam<camera>/<id>/<image>`` tells who is on an image.
      modality: of all of them; ``from_path``: by the innermost folder with the name of one.

    Raises:
      BadInput: there is none, or its modality cannot be told.
    """
    paths = [Path(place)] if Path(place).is_file() else []
    if place and not paths:
        paths = [Path(place) / name for name in _image_files(Path(place))]
    if not paths:
        raise BadInput(
            f"images={place!r} is no image and no folder that holds any. Give a file, or a "
            f"folder of {', '.join(SUFFIXES)} files."
        )
    return [_described(path, modality) for path in paths]


def _described(path: Path, modality: str) -> Entry:
    path_from_root = path.absolute()
    if modality == "from_path":
        told = (MODALITY_OF.get(folder.name.lower()) for folder in path_from_root.parents)
        modality = next(filter(None, told), "")
        if not modality:
            raise BadInput(
                f"{path} lies in no folder named visible or infrared. Give modality=visible or "
                "modality=infrared."
            )
    person = _PERSON.search(path_from_root.as_posix())
    camera, identity = person.groups() if person else ("", "")
    return Entry(str(path), identity, camera, modality)


def _image_files(folder: Path) -> list[str]:
    """The images of a folder and its subfolders: paths from it on, sorted as ``pathlib`` does.

    What is left out is logged, as information. Raises as :meth:`~cmnas_tf.data.walk.Walk.images`.
    """
    walk = Walk(folder)
    names = walk.images()
    for note in sentences(walk.left_out):
        logger.info(note)
    return names
