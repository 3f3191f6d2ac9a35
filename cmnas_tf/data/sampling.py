"""Which images make batch number ``step``: P identities x K images, in every modality."""

from dataclasses import dataclass

import numpy as np

from cmnas_tf.data.index import Images
from cmnas_tf.errors import BadInput
from cmnas_tf.modality import MODALITIES
from cmnas_tf.options import Options, advanced, option


@dataclass(frozen=True)
class Sampling(Options):
    """A batch, of all devices together: P identities, K images of each, per modality."""

    identities_per_batch: int = option(16, "P, identities in a batch. [code]", minimum=2)
    images_per_identity: int = option(
        4, "K, images of each identity in each modality. [code]", minimum=1
    )
    dataset_weights: tuple[float, ...] = advanced(
        (),
        "How often the people of each of several data sets are drawn; by default, all alike.",
        minimum=0.001,
        maximum=1000,
    )

    @property
    def rows(self) -> int:
        """Rows of one modality, P x K."""
        return self.identities_per_batch * self.images_per_identity


def steps_per_epoch(images: int, rows: int) -> int:
    """Steps of an epoch, ``int(images / rows) + 1`` (authors' released code).

    Args:
      images: training images of the modality that has most of them.
      rows: rows of one modality in a batch, P x K.
    """
    return images // rows + 1


@dataclass(frozen=True)
class Drawn:
    """One batch as rows of the image table."""

    labels: np.ndarray  # [P * K] int32; the K rows of an identity stand next to each other
    rows: dict[str, np.ndarray]  # by modality [P * K] int64, in the order of the labels


@dataclass(eq=False)
class IdentitySampler:
    """Draws P x K batches; batch ``step`` is a pure function of (seed, stream, step).

    Identities are drawn without replacement within a batch, images of an identity with replacement
    (authors' released code).

    Raises:
      BadInput: fewer than P identities, or an identity without images of some modality.
    """

    images: Images  # to draw from
    # All that have labels, also those of whom there is no image; the smallest one's is 0.
    pids: np.ndarray
    sampling: Sampling
    seed: int
    stream: int  # tells apart samplers of one run; a small integer
    # Of being drawn first, of each pid in the images, ascending; None: all alike.
    probabilities: np.ndarray | None = None

    def __post_init__(self) -> None:
        pids, sampling = np.sort(self.pids), self.sampling
        self.modalities = tuple(m for m in MODALITIES if m in set(self.images.modalities))
        self._labels = np.flatnonzero(np.isin(pids, self.images.pids))
        if len(self._labels) < sampling.identities_per_batch:
            raise BadInput(
                f"identities_per_batch={sampling.identities_per_batch}, but there are only "
                f"{len(self._labels)} identities to draw from; use at most that many."
            )
        self._rows = {
            modality: [self._rows_of(pid, modality) for pid in pids[self._labels]]
            for modality in self.modalities
        }

    def _rows_of(self, pid: int, modality: str) -> np.ndarray:
        rows = np.flatnonzero((self.images.pids == pid) & (self.images.modalities == modality))
        if not len(rows):
            raise BadInput(
                f"Identity {pid} has no {modality} image; every training identity needs images of "
                f"each modality ({', '.join(self.modalities)}). Remove it from the training list."
            )
        return rows

    @property
    def steps_per_epoch(self) -> int:
        """Steps of an epoch, by the modality that has most images."""
        largest = max(len(self.images.of_modality(modality)) for modality in self.modalities)
        return steps_per_epoch(largest, self.sampling.rows)

    def draw(self, step: int) -> Drawn:
        """Batch number ``step`` (>= 0)."""
        random = np.random.default_rng([self.seed, self.stream, step])
        identities = self.sampling.identities_per_batch
        per_identity = self.sampling.images_per_identity
        places = random.choice(len(self._labels), identities, False, self.probabilities)
        rows = {
            modality: np.concatenate([random.choice(of_pid[p], per_identity) for p in places])
            for modality, of_pid in self._rows.items()
        }
        labels = np.repeat(self._labels[places], per_identity)
        return Drawn(labels.astype(np.int32), rows)
