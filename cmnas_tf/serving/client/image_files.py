"""The images a client sends, and what the folders they lie in tell of them."""

import re
from pathlib import Path
from typing import NamedTuple

from cmnas_tf.data.own_images import MODALITY_OF
from cmnas_tf.data.walk import SUFFIXES
from cmnas_tf.errors import BadInput
from cmnas_tf.serving.gallery import image_files

# As SYSU-MM01 and the data set own_folders have it.
_PERSON = re.compile(r"cam([^/]+)/([^/]+)/[^/]+$")


class ImageFile(NamedTuple):
    """An image; ``camera`` and ``pid`` are empty where its path does not tell them."""

    path: Path
    modality: str
    camera: str
    pid: str

    def shows(self, pid: str) -> bool | None:
        """Whether it is an image of this person; None where its own is not known."""
        return self.pid == pid if self.pid else None


def find_images(place: str, modality: str) -> list[ImageFile]:
    """The images of a folder and its subfolders, sorted, or a single one.

    Args:
      place: a folder or a file. ``.../cam<camera>/<pid>/<image>`` tells who is on an image.
      modality: of all of them; ``from_path``: by the innermost folder with the name of one.

    Raises:
      BadInput: there is none, or its modality cannot be told.
    """
    paths = [Path(place)] if Path(place).is_file() else []
    if place and not paths:
        paths = [Path(place) / name for name in image_files(Path(place))]
    if not paths:
        raise BadInput(
            f"images={place!r} is no image and no folder that holds any. Give a file, or a "
            f"folder of {', '.join(SUFFIXES)} files."
        )
    return [_described(path, modality) for path in paths]


def _described(path: Path, modality: str) -> ImageFile:
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
    return ImageFile(path, modality, *(person.groups() if person else ("", "")))
