"""The settings of each command: groups of settings."""

from dataclasses import dataclass

from cmnas_tf.errors import BadInput
from cmnas_tf.settings.images import Batch, Data, Input, Pipeline, Protocol
from cmnas_tf.settings.learning import (
    ArchitectureLoss,
    Loss,
    Network,
    SearchSchedule,
    Start,
    TrainSchedule,
    WeightOptimizer,
)
from cmnas_tf.settings.people import SyntheticPeople, Target
from cmnas_tf.settings.runs import (
    Checkpoint,
    Checkpointing,
    Devices,
    ExportTarget,
    Progress,
    Run,
    RunFolder,
    TorchTarget,
    WeightFile,
)


@dataclass(frozen=True)
class MakeSynthetic:
    """Settings of ``python -m cmnas_tf.make_synthetic``."""

    target: Target = Target()
    people: SyntheticPeople = SyntheticPeople()


@dataclass(frozen=True)
class Search:
    """Settings of ``python -m cmnas_tf.search``."""

    run: Run = Run()
    data: Data = Data()
    input: Input = Input()
    network: Network = Network()
    start: Start = Start()
    batch: Batch = Batch()
    pipeline: Pipeline = Pipeline()
    loss: Loss = Loss()
    architecture_loss: ArchitectureLoss = ArchitectureLoss()
    optimizer: WeightOptimizer = WeightOptimizer()
    schedule: SearchSchedule = SearchSchedule()
    devices: Devices = Devices()
    checkpointing: Checkpointing = Checkpointing()
    progress: Progress = Progress()

    def __post_init__(self) -> None:
        if self.schedule.warmup_epochs >= self.schedule.epochs:
            raise BadInput(
                f"--warmup_epochs={self.schedule.warmup_epochs} leaves no epoch of --epochs="
                f"{self.schedule.epochs} for the architecture; it must be smaller."
            )


@dataclass(frozen=True)
class Train:
    """Settings of ``python -m cmnas_tf.train``."""

    run: Run = Run()
    data: Data = Data()
    input: Input = Input()
    network: Network = Network()
    start: Start = Start()
    batch: Batch = Batch()
    pipeline: Pipeline = Pipeline()
    loss: Loss = Loss()
    optimizer: WeightOptimizer = WeightOptimizer()
    schedule: TrainSchedule = TrainSchedule()
    devices: Devices = Devices()
    checkpointing: Checkpointing = Checkpointing()
    progress: Progress = Progress()


@dataclass(frozen=True)
class Evaluate:
    """Settings of ``python -m cmnas_tf.evaluate``."""

    run: RunFolder = RunFolder()
    data: Data = Data()
    checkpoint: Checkpoint = Checkpoint()
    protocol: Protocol = Protocol()
    progress: Progress = Progress()


@dataclass(frozen=True)
class Demo:
    """Settings of ``python -m cmnas_tf.demo``."""

    run: Run = Run()


@dataclass(frozen=True)
class Export:
    """Settings of ``python -m export.export_saved_model``."""

    run: RunFolder = RunFolder()
    checkpoint: Checkpoint = Checkpoint()
    target: ExportTarget = ExportTarget()


@dataclass(frozen=True)
class ImportWeights:
    """Settings of ``python -m cmnas_tf.import_weights``."""

    file: WeightFile = WeightFile()
    network: Network = Network()
    input: Input = Input()


@dataclass(frozen=True)
class ExportTorch:
    """Settings of ``python -m export.export_torch``."""

    run: RunFolder = RunFolder()
    checkpoint: Checkpoint = Checkpoint()
    target: TorchTarget = TorchTarget()
