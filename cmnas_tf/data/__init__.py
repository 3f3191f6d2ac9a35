"""Data sets: how they lie on disk, and how their images reach the network.

A data set is a file here that registers it, and its name in the list below. Another package
registers its own with :func:`register_dataset`.
"""

from cmnas_tf.data import (  # noqa: F401
    cuhk03_np,
    dukemtmc_reid,
    llcm,
    market1501,
    msmt17,
    own_images,
    regdb,
    sysu_mm01,
)
from cmnas_tf.data.index import Count, Dataset, Image, Images
from cmnas_tf.data.layouts import LAYOUTS, Layout, register_dataset
from cmnas_tf.data.loading import load_dataset, read_dataset
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
    "load_dataset",
    "read_dataset",
    "register_dataset",
]
