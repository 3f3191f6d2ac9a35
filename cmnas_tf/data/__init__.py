"""Data sets: how they lie on disk, and how their images reach the network.

A data set is a file here that registers it, and its name in the list below. Another package
registers its own with :func:`register_dataset`.
"""

# isort: off
from cmnas_tf.data import sysu_mm01, regdb, llcm  # noqa: F401
from cmnas_tf.data import market1501, cuhk03_np, dukemtmc_reid, msmt17  # noqa: F401
from cmnas_tf.data import own_images  # noqa: F401

# isort: on
from cmnas_tf.data.index import Count, Dataset, Image, Images
from cmnas_tf.data.layouts import (
    LAYOUTS,
    Layout,
    layout_in,
    load_dataset,
    read_dataset,
    register_dataset,
)
from cmnas_tf.data.protocols import Protocol, SingleQuery, Trial

__all__ = [
    "LAYOUTS",
    "Count",
    "Dataset",
    "Image",
    "Images",
    "Layout",
    "Protocol",
    "SingleQuery",
    "Trial",
    "layout_in",
    "load_dataset",
    "read_dataset",
    "register_dataset",
]
