"""What is kept during a run: the options."""

from dataclasses import dataclass

from cmnas_tf.options import Options, option


@dataclass(frozen=True, kw_only=True)
class Checkpointing(Options):
    """What is kept during a run."""

    checkpoint_every: str = option(
        "epoch",
        "When to write a checkpoint: epoch, a number of steps (500), or minutes (10m).",
        affects_result=False,
        advanced=True,
    )
    keep_checkpoints: int = option(
        2, "Checkpoints to keep, newest first.", minimum=1, affects_result=False, advanced=True
    )
