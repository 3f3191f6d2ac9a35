"""CUHK03 under its new protocol (Zhong et al., CVPR 2017): 767 + 700 identities, two cameras.

People were cut out of the same pictures twice, by a detector and by hand; results on the one are
not to be compared with results on the other.
"""

from pathlib import Path

from cmnas_tf.data import market1501
from cmnas_tf.data.index import Dataset

BOXES = ("detected", "labeled")

TREE = """\
detected/bounding_box_train/PPPP_cC_*.png    images to train on; identity P, camera C
detected/query/PPPP_cC_*.png                 images to search for
detected/bounding_box_test/PPPP_cC_*.png     gallery
labeled/...                                  the same, cut out by hand"""


def load(root: Path, boxes: str) -> Dataset:
    """Reads the index of one half of CUHK03-NP.

    Args:
      root: the folder that holds ``detected`` or ``labeled``.
      boxes: which of them.

    Returns:
      The data set.

    Raises:
      BadInput: if a folder has no images, or a file is not named as above.
    """
    return market1501.load_folders(
        f"cuhk03_np_{boxes}", root, TREE, within=f"{boxes}/", suffix=".png"
    )
