"""What the files of a data set hold: read once each, hashed and decoded."""

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from os import PathLike
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from cmnas_tf.data.decode import REFUSALS, decode_pixels
from cmnas_tf.data.findings import Finding
from cmnas_tf.data.grey16 import Range
from cmnas_tf.data.index import Dataset, Image, Images
from cmnas_tf.data.store import in_threads, open_store
from cmnas_tf.errors import BadInput

logger = logging.getLogger("cmnas_tf")


class Content(NamedTuple):
    """What one file holds."""

    digest: str  # SHA-256 of its bytes; empty if they cannot be read
    fault: str  # why it cannot be used as an image; empty if it can
    grey16: bool = False  # whether it is a greyscale PNG of 16 bits


def read_contents(
    root: str | PathLike[str],
    paths: Iterable[str],
    progress: Callable[[int], Any] = lambda images: None,
    grey16: Range = (),
) -> dict[str, Content]:
    """By path the content of image files of a data set, each read once, in threads.

    Args:
      root: the data set's folder, of files or of shards.
      paths: of its tables.
      progress: called with the number of files just read.
      grey16: how greyscale images of 16 bits are read, see ``Grey16``.
    """
    paths, store = list(paths), open_store(root)
    # Traced here, because threads would each trace it anew.
    decode = tf.function(decode_pixels, autograph=False).get_concrete_function(
        tf.TensorSpec([], tf.string), grey16
    )

    def content_of(path: str) -> Content:
        try:
            encoded = store.read(path)
        except FileNotFoundError:
            return Content("", "the file does not exist")
        except (OSError, BadInput) as error:
            reason = getattr(error, "strerror", error)
            return Content("", f"the file cannot be read ({reason})")
        digest, fault = hashlib.sha256(encoded).hexdigest(), ""
        try:
            decode(tf.constant(encoded))
        except tf.errors.OpError as error:
            fault = _fault(error.message)
        return Content(digest, fault, encoded[1:4] + encoded[24:26] == b"PNG\x10\0")

    contents = {}
    for path, content in zip(paths, in_threads(content_of, paths), strict=True):
        contents[path] = content
        progress(1)
    return contents


def _fault(message: str) -> str:
    """What TensorFlow's message says of an image."""
    for reason in REFUSALS:
        if reason in message:
            return reason
    # Behind the trace and the function's name, before the node's.
    reason = message.partition("\n\t [[")[0].splitlines()[-1].rpartition("}} ")[2]
    return f"not a complete JPEG, PNG or BMP image ({reason})"


def unreadable(images: Images, root: str | PathLike[str], grey16: Range = ()) -> dict[str, str]:
    """The files of ``images`` that are missing or cannot be used as images: ``{path: reason}``."""
    contents = read_contents(root, images.paths, grey16=grey16)
    return {path: content.fault for path, content in contents.items() if content.fault}


def readable(dataset: Dataset, part: str, grey16: Range = ()) -> Dataset:
    """The data set without the images of ``"train"`` or ``"test"`` that cannot be decoded.

    All of them are read. What is left out is in ``left_out``, said in a note and logged.
    """
    return without(dataset, part, unreadable(getattr(dataset, part), dataset.root, grey16))


def without(dataset: Dataset, part: str, bad: Mapping[str, str]) -> Dataset:
    """The data set without these images of ``"train"`` or ``"test"``: ``{path: reason}``."""
    images: Images = getattr(dataset, part)
    if not bad:
        return dataset
    path, why = next(iter(bad.items()))
    note = f"left out {len(bad)} unreadable images, the first of them {path}: {why}"
    logger.warning(note)
    kept: dict[str, Any] = {part: images[~np.isin(images.paths, list(bad))]}
    notes, left_out = (*dataset.notes, note), (*dataset.left_out, *bad)
    return replace(dataset, **kept, notes=notes, left_out=left_out)


def duplicates(dataset: Dataset, contents: Mapping[str, Content]) -> Iterator[Finding]:
    """Each test image whose file has the bytes of a training image's, behind the first such one."""
    first: dict[str, str] = {}
    for path in dataset.train.paths:
        first.setdefault(contents[path].digest, path)
    for path in dataset.test.paths:
        digest = contents[path].digest
        if digest and digest in first:
            where = f"{first[digest]} (to train on) and {path} (to test with)"
            yield Finding(where, "the same file")


def equal_pictures(dataset: Dataset, contents: Mapping[str, Content]) -> Iterator[str]:
    """A sentence if equal files of a part are listed as different people, and one if a query's file
    is in the gallery too.

    Where images have no roles, one modality asks for another.
    """
    people: list[tuple[Image, Image]] = []
    answers: list[tuple[Image, Image]] = []
    for part in (dataset.train, dataset.test):
        same: dict[str, list[Image]] = {}
        for image in part:
            if digest := contents[image.path].digest:
                same.setdefault(digest, []).append(image)
        for first, *others in same.values():
            people += [(first, other) for other in others if other.pid != first.pid][:1]
            if part is dataset.test:
                answers += [(first, other) for other in others if _asks_for(first, other)][:1]
    for pairs, said in (
        (people, "with different identities: at least one of the labels is wrong"),
        (answers, "as query and in the gallery, which find each other whatever the network"),
    ):
        if pairs:
            one, other = (
                f"{image.path} (identity {image.pid}, camera {image.camera})" for image in pairs[0]
            )
            yield f"{len(pairs)} pictures are there twice {said}. The first is {one} and {other}."


def _asks_for(one: Image, other: Image) -> bool:
    if one.role:
        return one.role != other.role
    return one.modality != other.modality
