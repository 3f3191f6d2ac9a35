"""The settings of each command: groups of settings."""

from dataclasses import dataclass

from cmnas_tf.errors import BadInput
from cmnas_tf.settings.images import (
    Batch,
    Data,
    DataFolder,
    Direction,
    Input,
    Matching,
    Pipeline,
    Preparation,
    Protocol,
    Splits,
)
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
    Arithmetic,
    Checkpoint,
    Checkpointing,
    Devices,
    ExportTarget,
    Progress,
    ResultFiles,
    Run,
    RunFolder,
    TorchTarget,
    TrainingDevices,
    WeightFile,
)


@dataclass(frozen=True)
class MakeSynthetic:
    """Settings of ``python -m cmnas_tf.make_synthetic``."""

    target: Target = Target()
    people: SyntheticPeople = SyntheticPeople()


@dataclass(frozen=True)
class Prepare:
    """Settings of ``python -m cmnas_tf.prepare``."""

    data: DataFolder = DataFolder()
    preparation: Preparation = Preparation()
    progress: Progress = Progress()


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
    arithmetic: Arithmetic = Arithmetic()
    devices: TrainingDevices = TrainingDevices()
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
    arithmetic: Arithmetic = Arithmetic()
    devices: TrainingDevices = TrainingDevices()
    checkpointing: Checkpointing = Checkpointing()
    progress: Progress = Progress()


@dataclass(frozen=True)
class Evaluate:
    """Settings of ``python -m cmnas_tf.evaluate``."""

    run: RunFolder = RunFolder()
    data: Data = Data()
    checkpoint: Checkpoint = Checkpoint()
    arithmetic: Arithmetic = Arithmetic()
    devices: Devices = Devices()
    protocol: Protocol = Protocol()
    matching: Matching = Matching()
    progress: Progress = Progress()
    results: ResultFiles = ResultFiles()


@dataclass(frozen=True)
class Trials(Train):
    """Settings of ``python -m cmnas_tf.trials``."""

    splits: Splits = Splits()
    protocol: Direction = Direction()
    matching: Matching = Matching()


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
    arithmetic: Arithmetic = Arithmetic()


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
