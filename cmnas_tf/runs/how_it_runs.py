"""What computes a run, what is kept of it and what is shown: the options."""

from dataclasses import dataclass
from typing import Any

from cmnas_tf.devices.devices import Devices
from cmnas_tf.options import Options, advanced


@dataclass(frozen=True, kw_only=True)
class Checkpointing(Options):
    """Checkpoints."""

    checkpoint_every: str = advanced(
        "epoch",
        "How often to write a checkpoint: epoch, a number of steps (500), or minutes (10m).",
        affects_result=False,
    )
    keep_checkpoints: int = advanced(
        2, "How many of the newest checkpoints to keep.", minimum=1, affects_result=False
    )


@dataclass(frozen=True, kw_only=True)
class Progress(Options):
    """Display."""

    progress: bool = advanced(True, "Show a progress bar.", affects_result=False)


@dataclass(frozen=True, kw_only=True)
class HowItRuns(Options):
    """What computes a run, what is kept of it and what is shown."""

    devices: Devices = Devices()
    checkpointing: Checkpointing = Checkpointing()
    progress: Progress = Progress()

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of ``find_architecture`` and ``train_network`` for it."""
        return {
            "devices": self.devices,
            "checkpointing": self.checkpointing,
            "progress": self.progress.progress,
        }
