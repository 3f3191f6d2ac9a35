"""Which training images the weights learn from, and which the architecture."""

import os
import zlib
from dataclasses import dataclass

import numpy as np

from cmnas_tf.data.index import Images
from cmnas_tf.errors import BadInput
from cmnas_tf.files import write_json

KINDS = ("within_identity", "identities")


@dataclass(frozen=True)
class Split:
    """The training images for the weight updates and for the architecture updates."""

    weights: Images
    architecture: Images
    kind: str  # what it was drawn by, as the seed; see split_train
    seed: int

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the kind, the seed and the files of both halves as JSON."""
        halves = {
            "weights": list(self.weights.paths),
            "architecture": list(self.architecture.paths),
        }
        write_json(path, {"kind": self.kind, "seed": self.seed, **halves})


def split_train(images: Images, kind: str, seed: int) -> Split:
    """Halves the training images; a pure function of its arguments (our choice of split).

    Args:
      kind: ``"within_identity"`` halves the images of each identity in each modality, the odd one
        going to the weights; ``"identities"`` halves the identities.

    Raises:
      BadInput: an identity has a single image of some modality (``within_identity``), or there is a
        single identity (``identities``).
    """
    halving = {"within_identity": _within_identity, "identities": _by_identity}[kind]
    for_weights = halving(images, seed)
    return Split(images[for_weights], images[~for_weights], kind, seed)


def _within_identity(images: Images, seed: int) -> np.ndarray:
    for_weights = np.zeros(len(images), bool)
    for modality in dict.fromkeys(images.modalities):
        for pid in np.unique(images.pids):
            rows = np.flatnonzero((images.pids == pid) & (images.modalities == modality))
            if len(rows) == 1:
                raise BadInput(
                    f"Identity {pid} has a single {modality} image, {images.paths[rows[0]]}, which "
                    "cannot be halved; remove the identity or use split=identities."
                )
            random = np.random.default_rng([seed, zlib.crc32(modality.encode()), pid])
            for_weights[random.permutation(rows)[: (len(rows) + 1) // 2]] = True
    return for_weights


def _by_identity(images: Images, seed: int) -> np.ndarray:
    pids = np.unique(images.pids)
    if len(pids) < 2:
        raise BadInput(f"split=identities needs at least 2 identities; found {len(pids)}.")
    chosen = np.random.default_rng([seed, len(pids)]).permutation(pids)[: (len(pids) + 1) // 2]
    return np.isin(images.pids, chosen)
