"""Market-1501 (Zheng et al., ICCV 2015), and what other data sets have taken over from it.

Six visible cameras, 751 identities to train on and 750 to test with. The gallery also holds people
who are nobody's match, all of them identity 0 ("distractors"). Images of identity -1 ("junk") are
badly cut; they are left out, wherever they are.
"""

import posixpath
import re
from collections.abc import Iterable
from pathlib import Path

from cmnas_tf.data.index import Count, Dataset, Image, Images
from cmnas_tf.data.layouts import Layout, register_dataset
from cmnas_tf.data.protocols import SingleQuery
from cmnas_tf.data.walk import Walk
from cmnas_tf.errors import BadInput
from cmnas_tf.modality import VISIBLE

CAMERAS = dict.fromkeys(range(1, 7), VISIBLE)
ROLE_OF = {"bounding_box_train": "", "query": "query", "bounding_box_test": "gallery"}
JUNK = -1

TREE = """\
bounding_box_train/PPPP_cCsS_*.jpg    images to train on; identity P, camera C, sequence S
query/PPPP_cCsS_*.jpg                 images to search for
bounding_box_test/PPPP_cCsS_*.jpg     gallery; identity 0000: distractors, -1: junk, left out"""

_NAME = re.compile(r"(-1|\d+)_c(\d+)")


def load_folders(
    layout: str, root: Path, tree: str, within: str = "", distractors: int | None = None
) -> Dataset:
    """Reads a data set that lies on disk as Market-1501 does; notes what is left out, also junk.

    Args:
      within: where the three folders are in ``root``, for example ``"labeled/"``.
      distractors: the identity of people whom nobody may ask for, if they have one.

    Raises:
      BadInput: if a folder has no images, a file is not named as above, or a query shows a
        distractor.
    """
    walk = Walk(root)
    images: dict[str, list[Image]] = {role: [] for role in ROLE_OF.values()}
    folders = {within + folder: role for folder, role in ROLE_OF.items()}
    found = list(walk.images_in(folders))
    if without := set(folders) - {posixpath.dirname(path) for path, _ in found}:
        raise BadInput(
            f"{root / sorted(without)[0]} holds no image. Unpack the data set whole:\n{tree}"
        )
    for path, role in found:
        if not (match := _NAME.match(posixpath.basename(path))):
            raise BadInput(
                f"{root / path} is not named by identity and camera. It must begin with "
                "'<identity>_c<camera>', for example 0002_c1; take it out of the folder"
            )
        pid, camera = map(int, match.groups())
        if pid == JUNK:
            walk.leave_out(path, f"junk (identity {JUNK})")
            continue
        images[role].append(Image(path, pid, camera, VISIBLE, role))
    asked = [image.path for image in images["query"] if image.pid == distractors]
    # Where they are trained on as well the whole numbering is wrong; that is said later.
    if asked and distractors not in {image.pid for image in images[""]}:
        raise BadInput(
            f"{root / asked[0]} asks for identity {distractors}, and these are distractors, who "
            "are nobody's match. Take it out of the folder, or give the person another number"
        )
    test = sorted(images["query"] + images["gallery"])
    notes = tuple(walk.left_out)
    return Dataset(layout, root, Images.of(sorted(images[""])), Images.of(test), notes)


def register_folders(
    name: str,
    title: str,
    tree: str,
    counts: Iterable[tuple[int, int]],
    within: str = "",
    also_marks: tuple[str, ...] = (),
    distractors: int | None = None,
) -> None:
    """Registers a data set for :func:`load_folders`.

    Args:
      counts: images and identities as published, to train on, of the queries and of the gallery.
      also_marks: what tells its folder from that of others, besides the three folders.
    """
    parts = ("train visible", "query visible", "gallery visible")
    register_dataset(
        name,
        Layout(
            title=title,
            load=lambda root, trial: load_folders(name, root, tree, within, distractors),
            tree=tree,
            marks=(*(within + folder for folder in ROLE_OF), *also_marks),
            protocol=SingleQuery,
            published={part: Count(*n) for part, n in zip(parts, counts, strict=True)},
        ),
    )


# Zheng et al., ICCV 2015; junk is not counted, the distractors as one identity.
COUNTS = (12936, 751), (3368, 750), (15913, 751)

register_folders("market1501", "Market-1501", TREE, COUNTS, distractors=0)
