"""What a data set is to the rest of the package: a table of images and who is on them."""

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cmnas_tf.data.findings import Said
from cmnas_tf.errors import BadInput
from cmnas_tf.modality import MODALITIES

ROLES = ("query", "gallery")


class Image(NamedTuple):
    """One image file: where it is, who is on it, which camera of which modality took it.

    ``role`` says whether a test image is searched for (``"query"``) or ranked (``"gallery"``); it
    is empty where the data set leaves that to the test protocol.
    """

    path: str
    pid: int
    camera: int
    modality: str
    role: str = ""


@dataclass(frozen=True)
class Count:
    """How large a part of a data set is."""

    images: int
    identities: int


@dataclass(frozen=True)
class Images:
    """A table of images, one row each; the order is the data set's sorted order."""

    paths: np.ndarray  # absolute or data-set relative file names, [N] object array of str
    pids: np.ndarray  # raw person identities as the data set numbers them, [N] int64
    cameras: np.ndarray  # camera numbers as the data set numbers them, [N] int64
    modalities: np.ndarray  # "visible" or "infrared", [N] object array of str
    roles: np.ndarray  # "query", "gallery" or "", see Image; [N] object array of str

    @classmethod
    def of(cls, images: Iterable[Image]) -> "Images":
        """The table of ``images``, in the order given; BadInput: a number has over 64 bits."""
        rows = list(images)
        try:
            return cls(
                paths=np.array([row.path for row in rows], dtype=object),
                pids=np.array([row.pid for row in rows], dtype=np.int64),
                cameras=np.array([row.camera for row in rows], dtype=np.int64),
                modalities=np.array([row.modality for row in rows], dtype=object),
                roles=np.array([row.role for row in rows], dtype=object),
            )
        except OverflowError as error:
            raise BadInput("An identity or camera has a number of more than 64 bits.") from error

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[Image]:
        columns = (column.tolist() for column in vars(self).values())
        return itertools.starmap(Image, zip(*columns, strict=True))

    def __getitem__(self, rows: np.ndarray | Sequence[int] | slice) -> "Images":
        """The rows selected by a mask, by indices or by a slice."""
        return Images(*(column[rows] for column in vars(self).values()))

    def of_modality(self, modality: str) -> "Images":
        """The rows of one modality (``"visible"`` or ``"infrared"``)."""
        if modality not in MODALITIES:
            raise ValueError(f"modality must be one of {MODALITIES}. Received: {modality!r}")
        return self[self.modalities == modality]

    def __add__(self, other: "Images") -> "Images":
        columns = zip(vars(self).values(), vars(other).values(), strict=True)
        return Images(*map(np.concatenate, columns))


@dataclass(frozen=True, repr=False)
class Dataset:
    """A re-identification data set as found on disk; printed, it is a table of its counts.

    Attributes:
      layout: its name, one of ``cmnas_tf.data.LAYOUTS``, for example ``"sysu_mm01"``.
      root: the folder that was read, of files or of shards.
      train: the images to search and train on; every identity has every modality of ``modalities``.
      test: every image that a test protocol may use as query or gallery.
      notes: what the loader noticed, a sentence each, and the files that it left out; see
        :func:`~cmnas_tf.data.findings.sentences`.
      trial: which of the data set's own splits into training and test images this is, from 1.
      modality: which training images these are: ``"all"``, ``"visible"`` or ``"infrared"``.
      left_out: the files that ``verify.readable`` left out.
      names: of identity 0, 1, ...; empty where the data set numbers its people itself.
      joined: the data sets whose training images these are, see ``joining.join_datasets``.
    """

    layout: str
    root: Path
    train: Images
    test: Images
    notes: tuple[Said, ...] = ()
    trial: int = 1
    modality: str = "all"
    left_out: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    joined: tuple["Dataset", ...] = ()

    @property
    def layouts(self) -> str:
        """Its layout; of joined data sets those of all, with commas between."""
        return ",".join(dataset.layout for dataset in self.joined or [self])

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that the training images have, in the order of ``MODALITIES``."""
        present = set(self.train.modalities)
        return tuple(modality for modality in MODALITIES if modality in present)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of every row of both tables, and of people's names where they have any, or of the
        fingerprints of joined ones: two data sets with the same one list the same."""
        if self.joined:
            return hashlib.sha256("".join(d.fingerprint for d in self.joined).encode()).hexdigest()
        digest = hashlib.sha256("\n".join(self.names).encode())
        for images in (self.train, self.test):
            for image in images:
                digest.update(repr(tuple(map(str, image))).encode())
            digest.update(b"/")
        return digest.hexdigest()

    def people(self, pids: Iterable[int]) -> list[int | str]:
        """The names of identities, or their numbers where they have no names; sorted."""
        return [self.names[pid] if self.names else pid for pid in sorted(pids)]

    def of_modality(self, modality: str) -> "Dataset":
        """The data set with the training images of one modality; itself where that is ``"all"``.

        Raises:
          BadInput: there is no such training image.
        """
        if modality == "all":
            return self
        if modality not in self.modalities:
            raise BadInput(
                f"modality={modality}: the images are all {', '.join(self.modalities)}. Leave it "
                "out, or give other images."
            )
        return replace(self, train=self.train.of_modality(modality), modality=modality)

    def __repr__(self) -> str:
        lines = [
            f"  {part:<16}{count.images:>9,} images of {count.identities:>6,} identities"
            for part, count in self.counts().items()
        ]
        return "\n".join([f"{self.layouts} in {self.root}, trial {self.trial}", *lines])

    def counts(self) -> dict[str, Count]:
        """How large each part is that has images at all.

        Returns:
          By part and modality, for example ``"train visible"`` and ``"test infrared"``; instead of
          ``test`` there is ``query`` and ``gallery`` where the images have these roles.
        """
        parts = {role or "test": self.test[self.test.roles == role] for role in (*ROLES, "")}
        parts = {"train": self.train, **parts}
        return {
            f"{name} {modality}": Count(len(found), len(np.unique(found.pids)))
            for name, part in parts.items()
            for modality in MODALITIES
            if len(found := part.of_modality(modality))
        }
