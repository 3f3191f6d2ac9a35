"""Settings of a run: where it is kept, what computes it, what is read and written."""

from dataclasses import dataclass

from cmnas_tf.errors import BadInput
from cmnas_tf.settings.group import Group, setting


@dataclass(frozen=True)
class RunFolder(Group):
    """One run: where it is kept."""

    run_dir: str = setting(
        "", "Folder of this run: checkpoints, logs, results.", shapes_result=False
    )


@dataclass(frozen=True)
class Run(RunFolder):
    """One run: where it is kept, and what makes it repeatable."""

    seed: int = setting(0, "Seed of all randomness.", minimum=0, maximum=2**32 - 1)


@dataclass(frozen=True)
class Devices(Group):
    """What computes it; the number of devices is written down with the run."""

    strategy: str = setting(
        "auto",
        "mirrored: all GPUs of this machine, or its CPU; multi_worker: those of all processes that "
        "TF_CONFIG lists; auto: multi_worker where TF_CONFIG lists any, otherwise mirrored.",
        choices=("auto", "one_device", "mirrored", "multi_worker"),
        shapes_result=False,
    )
    logical_devices: int = setting(
        0,
        "Split the CPU into this many logical devices (0: do not).",
        minimum=0,
        shapes_result=False,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.logical_devices and self.strategy not in ("auto", "mirrored"):
            raise BadInput(
                f"--logical_devices={self.logical_devices} cuts up the CPU of one process, and "
                f"--strategy={self.strategy} does not use the parts; give --strategy=mirrored."
            )


@dataclass(frozen=True)
class TrainingDevices(Devices):
    """What computes it, and how alike; the number of devices is written down with the run."""

    batch_norm: str = setting(
        "per_replica",
        "Batch statistics over each device's rows [code] or over all devices' rows.",
        choices=("per_replica", "synchronized"),
    )
    deterministic: bool = setting(
        False, "Use only GPU kernels that give the same bits each time; slower, refuses some."
    )
    recompute: bool = setting(
        False,
        "Keep only what enters each residual block or cell, and compute the rest again for the "
        "gradient: less memory, another forward pass; the same but for rounding.",
    )


@dataclass(frozen=True)
class Arithmetic(Group):
    """What the network is computed in."""

    precision: str = setting(
        "float32",
        "Numbers of the feature maps; weights, statistics, losses and ranking stay float32.",
        choices=("float32", "bfloat16", "float16"),
    )


@dataclass(frozen=True)
class Checkpointing(Group):
    """What is kept while a run goes on."""

    checkpoint_every: str = setting(
        "epoch",
        "When to write a checkpoint: epoch, a number of steps (500), or minutes (10m).",
        shapes_result=False,
    )
    keep_checkpoints: int = setting(
        2, "Checkpoints to keep, newest first.", minimum=1, shapes_result=False
    )


@dataclass(frozen=True)
class Progress(Group):
    """What is shown."""

    progress: bool = setting(True, "Show a progress bar.", shapes_result=False)


@dataclass(frozen=True)
class Checkpoint(Group):
    """Which trained network."""

    checkpoint: str = setting(
        "",
        "Checkpoint to use; by default the newest one of --run_dir.",
    )
    weights: str = setting(
        "average",
        "Use the moving average or the last step's weights.",
        choices=("average", "live"),
    )


@dataclass(frozen=True)
class ResultFiles(Group):
    """Results that were measured before."""

    compare: tuple[str, ...] = setting(
        (),
        "Two results.json files: show them side by side and say what differs; nothing is measured.",
        shapes_result=False,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.compare) not in (0, 2):
            raise BadInput(
                "--compare takes two files: --compare A.json B.json. "
                f"Received {len(self.compare)}: {' '.join(self.compare)}"
            )


@dataclass(frozen=True)
class ExportTarget(Group):
    """Where the exported model goes, and how exact it must be."""

    export_dir: str = setting(
        "", "Folder of all exported versions, the one a model server watches.", shapes_result=False
    )
    version: int = setting(
        0, "Number of this version; 0: one more than the highest there is.", minimum=0
    )
    parity_tolerance: float = setting(
        1e-5,
        "Largest difference from the trained network that an entry of an embedding of norm 1 may "
        "have.",
        minimum=0,
    )


@dataclass(frozen=True)
class WeightFile(Group):
    """Weights made with PyTorch."""

    weights: str = setting(
        "",
        "The file: .safetensors, or what torch.save wrote (.pth, .pth.tar; needs PyTorch).",
    )
    architecture: str = setting(
        "",
        "config.cfg or architecture.json of the network, or `shared`, `separate`, `until:STAGE`. "
        "An ImageNet ResNet needs none and becomes `shared`.",
    )
    output: str = setting("", "Checkpoint to write; it must not exist.", shapes_result=False)


@dataclass(frozen=True)
class TorchTarget(Group):
    """Where the weights for PyTorch go."""

    export_dir: str = setting("", "Folder to write; it must not exist.", shapes_result=False)
    module_prefix: bool = setting(
        False, "Begin every name with `module.`, as the authors' programs load and save them."
    )
