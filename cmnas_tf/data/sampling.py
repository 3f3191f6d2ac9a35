"""How large a batch is, and how many make an epoch."""

from dataclasses import dataclass

from cmnas_tf.options import Options, option


@dataclass(frozen=True)
class Sampling(Options):
    """A batch: P identities, K images of each, per modality; over all devices together."""

    identities_per_batch: int = option(16, "P, identities in a batch. [code]", minimum=2)
    images_per_identity: int = option(
        4, "K, images of each identity in each modality. [code]", minimum=1
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
