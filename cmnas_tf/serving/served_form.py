"""How an exported model computes: the options."""

from dataclasses import dataclass

from cmnas_tf.options import Options, option


@dataclass(frozen=True, kw_only=True)
class ServedForm(Options):
    """How the exported model computes."""

    frozen: bool = option(
        False,
        "Weights as constants of the graph: less time for an image alone, many times the memory.",
        advanced=True,
    )
    batch_images: int = option(
        0,
        "Compute up to this many images of several requests together, inside the model, behind the "
        "decoding, so that a bad image fails its own request alone (0: each request alone).",
        minimum=0,
    )
    batch_wait_ms: float = option(
        2.0, "How long an image may wait for others, in milliseconds.", minimum=0, advanced=True
    )
