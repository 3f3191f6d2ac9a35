"""The two modalities, by name, and which rows of a batch belong to which.

A batch that goes through a network is always ordered: its visible rows first, then its infrared
rows; either part may be missing. :class:`Rows` carries that order from the network's door to every
normalisation, so that no layer has to guess or to number the modalities.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

VISIBLE = "visible"
INFRARED = "infrared"
MODALITIES = (VISIBLE, INFRARED)


@dataclass(frozen=True)
class Rows:
    """How the leading axis of a batch divides into modalities."""

    # Number of rows per modality that is present, in the order of :data:`MODALITIES`; Python
    # integers where the shape is static, scalar integer tensors otherwise.
    counts: Mapping[str, Any]

    def __post_init__(self) -> None:
        present = [modality for modality in MODALITIES if modality in self.counts]
        if not present or list(self.counts) != present:
            raise ValueError(
                f"counts must name modalities out of {MODALITIES}, in this order. "
                f"Received: {list(self.counts)}"
            )

    def split(self, x: Any) -> dict[str, Any]:
        """``x`` [rows, ...] cut into ``{modality: [count, ...]}``, present modalities only."""
        if len(self.counts) == 1:
            return dict.fromkeys(self.counts, x)
        import tensorflow as tf

        # Not slices: the gradient of two slices pads and adds, that of a split concatenates.
        parts = tf.split(x, list(self.counts.values()))
        return dict(zip(self.counts, parts, strict=True))
