"""MSMT17 (Wei et al., CVPR 2018): fifteen visible cameras, 1,041 + 3,060 identities.

The validation images are trained on as well; they show the training identities.
"""

from pathlib import Path

from cmnas_tf.data.index import Count, Dataset, Image, Images
from cmnas_tf.data.layouts import Layout, register_dataset
from cmnas_tf.data.lists import read_lists
from cmnas_tf.data.protocols import SingleQuery
from cmnas_tf.data.walk import Walk
from cmnas_tf.errors import BadInput
from cmnas_tf.modality import VISIBLE

FOLDERS = {"train": ("train", "mask_train_v2"), "test": ("test", "mask_test_v2")}
# The data set numbers its test identities from 0 again. Here they continue where training ends.
TRAIN_IDENTITIES = 1041

TREE = """\
train/PPPP/PPPP_NNN_CC_*.jpg            images to train on; identity P, camera C
test/PPPP/PPPP_NNN_CC_*.jpg             images to test with (version 2: mask_train_v2, mask_test_v2)
list_{train,val,query,gallery}.txt      lines "PPPP/PPPP_NNN_CC_*.jpg identity\""""


def load(root: Path) -> Dataset:
    """Reads the index of MSMT17; test identity n of the lists is identity 1041 + n.

    Raises:
      BadInput: if a list or a folder is missing, or a list is malformed or contradicts another.
    """
    train = {"list_train.txt": "", "list_val.txt": ""}
    test = {"list_query.txt": "query", "list_gallery.txt": "gallery"}
    shown = _images(root, "train", train, first_pid=0)
    others = _images(root, "test", test, first_pid=TRAIN_IDENTITIES)
    notes = Walk(root).unlisted(sum(FOLDERS.values(), ()), {*shown.paths, *others.paths})
    return Dataset("msmt17", root, shown, others, notes)


def _images(root: Path, part: str, role_of: dict[str, str], first_pid: int) -> Images:
    """The images of the lists in ``role_of``, sorted by path."""
    folder = next((name for name in FOLDERS[part] if (root / name).is_dir()), None)
    if folder is None:
        raise BadInput(f"{root} has no {' or '.join(FOLDERS[part])}. Unpack MSMT17 whole:\n{TREE}")
    form = "<identity>/<word>_<word>_<camera>_<file>"
    lists = [(file, form, role) for file, role in role_of.items()]
    images = []
    for role, line in read_lists(root, lists, TREE):
        path, pid = f"{folder}/{line['path']}", first_pid + int(line["identity"])
        images.append(Image(path, pid, int(line["camera"]), VISIBLE, role))
    return Images.of(sorted(images))


register_dataset(
    "msmt17",
    Layout(
        title="MSMT17",
        load=lambda root, trial: load(root),
        tree=TREE,
        marks=tuple(f"list_{part}.txt" for part in ("train", "val", "query", "gallery")),
        protocol=SingleQuery,
        published={  # Wei et al., CVPR 2018
            "train visible": Count(32621, 1041),
            "query visible": Count(11659, 3060),
            "gallery visible": Count(82161, 3060),
        },
    ),
)
