"""CUHK03 under its new protocol (Zhong et al., CVPR 2017): 767 + 700 identities, two cameras.

People were cut out of the same pictures twice, by a detector and by hand; results on the one are
not to be compared with results on the other.
"""

from collections.abc import Mapping

from cmnas_tf.data import market1501
from cmnas_tf.data.index import Count
from cmnas_tf.data.layouts import Layout, register_dataset
from cmnas_tf.data.protocols import SingleQuery

TREE = """\
detected/bounding_box_train/PPPP_cC_*.png    images to train on; identity P, camera C
detected/query/PPPP_cC_*.png                 images to search for
detected/bounding_box_test/PPPP_cC_*.png     gallery
labeled/...                                  the same, cut out by hand"""


def _register(boxes: str, published: Mapping[str, Count]) -> None:
    name = f"cuhk03_np_{boxes}"
    register_dataset(
        name,
        Layout(
            title=f"CUHK03-NP ({boxes})",
            load=lambda root, trial: market1501.load_folders(name, root, TREE, within=f"{boxes}/"),
            tree=TREE,
            marks=tuple(f"{boxes}/{folder}" for folder in market1501.ROLE_OF),
            protocol=SingleQuery,
            published=published,
        ),
    )


# Counts of Zhong et al., CVPR 2017.
_register(
    "detected",
    {
        "train visible": Count(7365, 767),
        "query visible": Count(1400, 700),
        "gallery visible": Count(5332, 700),
    },
)
_register(
    "labeled",
    {
        "train visible": Count(7368, 767),
        "query visible": Count(1400, 700),
        "gallery visible": Count(5328, 700),
    },
)
