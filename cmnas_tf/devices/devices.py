"""What computes a run: the options."""

from dataclasses import dataclass

from cmnas_tf.errors import BadInput
from cmnas_tf.options import Options, advanced


@dataclass(frozen=True)
class Devices(Options):
    """What computes it; the number of devices is written down with the run."""

    strategy: str = advanced(
        "auto",
        "mirrored: all GPUs of this machine, or its CPU; one_device: one of them; multi_worker: "
        "those of all processes that TF_CONFIG lists; auto: multi_worker where TF_CONFIG lists "
        "any, mirrored for several GPUs or `logical_devices`, otherwise one_device.",
        choices=("auto", "one_device", "mirrored", "multi_worker"),
        affects_result=False,
    )
    logical_devices: int = advanced(
        0,
        "Split the CPU into this many logical devices (0: do not).",
        minimum=0,
        affects_result=False,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.logical_devices and self.strategy not in ("auto", "mirrored"):
            raise BadInput(
                f"logical_devices={self.logical_devices} cuts up the CPU of one process, and "
                f"strategy={self.strategy} does not use the parts; give strategy=mirrored."
            )
