"""The settings of each command: groups of settings."""

from dataclasses import dataclass

from cmnas_tf.errors import BadInput
from cmnas_tf.settings.exporting import (
    ConvertedTarget,
    FaissFile,
    GalleryChange,
    Numbers,
    SearchedGallery,
    ServedForm,
)
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
from cmnas_tf.settings.serving import Answer, LocalServing, Request, Server
from cmnas_tf.settings.study import Comparison, Queue, Recipes


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
        if self.loss.objective == "classification" and self.schedule.split == "identities":
            raise BadInput(
                "--objective=classification follows cross entropy alone, which --split=identities "
                "leaves out of the architecture loss; give --split=within_identity."
            )
        if self.schedule.order == "second" and self.arithmetic.precision != "float32":
            raise BadInput(
                f"--order=second takes differences of gradients, which --precision="
                f"{self.arithmetic.precision} has too few digits for; leave one of the two out."
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
class Study:
    """Settings of ``python -m cmnas_tf.study``."""

    run: RunFolder = RunFolder()
    data: DataFolder = DataFolder()
    comparison: Comparison = Comparison()
    recipes: Recipes = Recipes()
    queue: Queue = Queue()


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
    form: ServedForm = ServedForm()
    searched: SearchedGallery = SearchedGallery()
    arithmetic: Arithmetic = Arithmetic()
    progress: Progress = Progress()


@dataclass(frozen=True)
class BuildIndex:
    """Settings of ``python -m export.build_index``."""

    run: RunFolder = RunFolder()
    checkpoint: Checkpoint = Checkpoint()
    change: GalleryChange = GalleryChange()
    progress: Progress = Progress()


@dataclass(frozen=True)
class BuildFaissIndex:
    """Settings of ``python -m export.build_faiss_index``."""

    index: FaissFile = FaissFile()


@dataclass(frozen=True)
class ExportOnnx:
    """Settings of ``python -m export.export_onnx``."""

    run: RunFolder = RunFolder()
    checkpoint: Checkpoint = Checkpoint()
    target: ConvertedTarget = ConvertedTarget()
    data: Data = Data()
    protocol: Protocol = Protocol()


@dataclass(frozen=True)
class ExportTflite(ExportOnnx):
    """Settings of ``python -m export.export_tflite``."""

    form: Numbers = Numbers()


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


@dataclass(frozen=True)
class LocalServer:
    """Settings of ``python -m export.local_server``."""

    serving: LocalServing = LocalServing()


@dataclass(frozen=True)
class Client:
    """Settings of ``python -m export.client``."""

    request: Request = Request()
    server: Server = Server()
    answer: Answer = Answer()
    progress: Progress = Progress()
