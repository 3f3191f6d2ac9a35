"""Greyscale images of 16 bits, as thermal cameras write them, and how they become ones of 8."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cmnas_tf.data.store import Store
from cmnas_tf.errors import BadInput
from cmnas_tf.options import Options, option

Range = tuple[int, ...]  # (LOW, HIGH), or (): such images are refused
_SAMPLED = 100  # images at most; our choice


@dataclass(frozen=True, kw_only=True)
class Grey16(Options):
    """How greyscale PNGs of 16 bits are read."""

    grey16_range: Range = option(
        (),
        "LOW,HIGH: the values of 16-bit greyscale PNGs that become 0 and 255. Values between "
        "them are scaled linearly and rounded, halves up; others are clipped (our choice). Without "
        "it such images are refused. The command that prepares a data set shows which it has.",
        minimum=0,
        maximum=2**16 - 1,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        given = self.grey16_range
        if given and (len(given) != 2 or given[0] >= given[1]):
            raise BadInput(f"grey16_range={given} must be two numbers, the lower one first.")


def values_of(store: Store, paths: Sequence[str]) -> Iterator[str]:
    """A sentence on the values of greyscale PNGs of 16 bits, those of a sample, if there is any."""
    import cv2

    sample, counts = paths[:: 1 + len(paths) // _SAMPLED], np.zeros(2**16, np.int64)
    for path in sample:
        image = cv2.imdecode(np.frombuffer(store.read(path), np.uint8), cv2.IMREAD_ANYDEPTH)
        counts += 0 if image is None else np.bincount(image.ravel(), minlength=2**16)
    if counts.any():
        low, high = np.flatnonzero(counts)[[0, -1]]
        first, last = np.searchsorted(np.cumsum(counts) / counts.sum(), [0.01, 0.99])
        yield (
            f"{len(paths)} PNGs are greyscale of 16 bits; {len(sample)} of them have values {low} "
            f"to {high}, 1st and 99th percentile {first} and {last}, to choose grey16_range by."
        )
