"""An exported model from outside: its name, its folder, its versions, and how it computes."""

import functools
import logging
from dataclasses import dataclass, replace
from pathlib import Path

from cmnas_tf.options import Options, advanced, option

logger = logging.getLogger(__name__)

LATEST = 2**63 - 2  # the highest version: a server counts in 64 bits, and one more can follow
MODEL_NAME = "reid"  # what clients call the model on the server
BESIDE = "assets.extra"  # the place a version has for files that are not part of the graph
WARMUP = "tf_serving_warmup_requests"  # the name that servers look for there


def versions_in(base: Path) -> dict[int, Path]:
    """The versions in a folder, by number; what has no number for a name is passed over."""
    entries = base.iterdir() if base.is_dir() else ()
    found = {int(entry.name): entry for entry in entries if entry.name.isdecimal()}
    return {n: entry for n, entry in found.items() if n <= LATEST or _passed_over(entry)}


@functools.cache
def _passed_over(entry: Path) -> None:
    """Says once that a number is too large for a server."""
    logger.warning("%s is passed over: a version is at most %d.", entry, LATEST)


@dataclass(frozen=True, kw_only=True)
class ServedForm(Options):
    """What the exported model answers, and how it computes."""

    precision: str = option(
        "float32",
        "Numbers that the network computes in. bfloat16 takes half the memory, and on some "
        "processors less time; auto takes it if this machine is faster by it; float16 is for GPUs. "
        "What is lost by it is measured on `data_dir`.",
        choices=("float32", "bfloat16", "float16", "auto"),
    )
    signatures: tuple[str, ...] = advanced(
        (),
        "Signatures to export; by default all. Each one that was called takes memory of its own.",
    )
    max_images: int = advanced(256, "Images that a request may hold.", minimum=1, maximum=4096)
    max_pixels: int = advanced(
        2**26,
        "Pixels that all images of a request may have together; each alone, at most 2^24.",
        minimum=64,
    )
    frozen: bool = advanced(
        False,
        "Weights as constants of the graph: less time for an image alone, many times the memory.",
    )
    batch_images: int = option(
        0,
        "Compute up to this many images of several requests together, inside the model, behind the "
        "decoding, so that a bad image fails its own request alone (0: each request alone).",
        minimum=0,
    )
    batch_wait_ms: float = advanced(
        2.0, "How long an image may wait for others, in milliseconds.", minimum=0
    )

    def for_this_machine(self) -> "ServedForm":
        """With one precision in place of ``auto``; says what it chose, or what the choice costs."""
        from cmnas_tf.models.precision import bfloat16_pace, warn_of_bfloat16

        if self.precision == "auto":
            pace = bfloat16_pace()
            chosen = "bfloat16" if pace > 1 else "float32"
            logger.info(
                "precision=%s: this machine is %.1f times as fast in bfloat16 as in float32. Give "
                "`precision` if the one that serves differs.",
                chosen,
                pace,
            )
            return replace(self, precision=chosen)
        if self.precision == "bfloat16":
            warn_of_bfloat16()
        return self
