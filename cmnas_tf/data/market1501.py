"""Market-1501 (Zheng et al., ICCV 2015), and what other data sets have taken over from it.

Six visible cameras, 751 identities to train on and 750 to test with. The gallery also holds people
who are nobody's match, all of them identity 0 ("distractors"). Images of identity -1 ("junk") are
badly cut; they are left out.
"""

import re
from pathlib import Path

from cmnas_tf.data.index import Count, Dataset, Image, Images
from cmnas_tf.data.layouts import Layout, register_dataset
from cmnas_tf.data.protocols import SingleQuery
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
    layout: str, root: Path, tree: str, within: str = "", suffix: str = ".jpg"
) -> Dataset:
    """Reads a data set that lies on disk as Market-1501 does.

    Args:
      layout: its name.
      root: the folder of the data set.
      tree: how it should look, for people to read.
      within: where the three folders are in ``root``, for example ``"labeled/"``.
      suffix: of the images' names.

    Returns:
      The data set; its notes say how much junk was left out.

    Raises:
      BadInput: if a folder has no images, or a file is not named as above.
    """
    train, query, gallery = (
        _images(root, within + folder, suffix, role, tree) for folder, role in ROLE_OF.items()
    )
    kept = [image for image in sorted(query + gallery) if image.pid != JUNK]
    junk = len(query + gallery) - len(kept)
    return Dataset(
        layout=layout,
        root=root,
        train=Images.of(train),
        test=Images.of(kept),
        notes=(f"{junk} junk images (identity -1) are left out.",) if junk else (),
    )


def _images(root: Path, folder: str, suffix: str, role: str, tree: str) -> list[Image]:
    """The images of a folder, sorted by path."""
    names = sorted(path.name for path in (root / folder).glob(f"[!.]*{suffix}"))
    if not names:
        raise BadInput(
            f"{root / folder} holds no {suffix} file. Unpack the data set whole:\n{tree}"
        )
    images = []
    for name in names:
        if not (match := _NAME.match(name)):
            raise BadInput(
                f"{root / folder / name} is not named by identity and camera. It must begin with "
                "'<identity>_c<camera>', for example 0002_c1; take it out of the folder"
            )
        images.append(Image(f"{folder}/{name}", int(match[1]), int(match[2]), VISIBLE, role))
    return images


register_dataset(
    "market1501",
    Layout(
        title="Market-1501",
        load=lambda root, trial: load_folders("market1501", root, TREE),
        tree=TREE,
        marks=tuple(ROLE_OF),
        protocol=SingleQuery,
        published={  # Zheng et al., ICCV 2015; junk is not counted, the distractors as one identity
            "train visible": Count(12936, 751),
            "query visible": Count(3368, 750),
            "gallery visible": Count(15913, 751),
        },
    ),
)
