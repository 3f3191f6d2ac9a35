"""Every setting of every command: its type, default, unit, range and meaning, in one place.

A command's settings are a frozen dataclass of *groups*; a group is a frozen dataclass whose fields
are made by :func:`setting`. ``command_line`` turns each field into the flag of the same name, so a
name is used once. Values marked [pub] and [code] are the authors' (paper, released code); the
others are our choice.
"""

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cmnas_tf.errors import BadInput


def setting(
    default: Any,
    help: str,
    *,
    choices: tuple[Any, ...] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    shapes_result: bool = True,
) -> Any:
    """A dataclass field that becomes a flag.

    Args:
      default: the default value; its type is the field's annotation.
      help: one sentence, with the unit.
      choices: the allowed values, where they can be listed.
      minimum: smallest allowed value, inclusive.
      maximum: largest allowed value, inclusive.
      shapes_result: whether another value could give another result. A run that is taken up again
        must have the same value of every such setting.
    """
    metadata = {
        "help": help,
        "choices": choices,
        "minimum": minimum,
        "maximum": maximum,
        "shapes_result": shapes_result,
    }
    return dataclasses.field(default=default, metadata=metadata)


class Group:
    """A group of settings; checks ranges and choices when it is made."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value, allowed = getattr(self, field.name), field.metadata
            numbers = value if isinstance(value, tuple) else (value,)
            if any(isinstance(n, float) and not math.isfinite(n) for n in numbers):
                raise BadInput(f"--{field.name}={value} must be finite.")
            if allowed["choices"] and value not in allowed["choices"]:
                words = ", ".join(repr(choice) for choice in allowed["choices"])
                raise BadInput(
                    f"--{field.name}={value!r} is not allowed; it must be one of {words}."
                )
            low, high = allowed["minimum"], allowed["maximum"]
            if (low is not None and value < low) or (high is not None and value > high):
                bounds = f"at least {low}" if high is None else f"between {low} and {high}"
                raise BadInput(f"--{field.name}={value} is out of range; it must be {bounds}.")


@dataclass(frozen=True)
class Data(Group):
    """Which images."""

    data_dir: str = setting(
        "", "Folder of the data set, laid out as its authors deliver it.", shapes_result=False
    )
    dataset: str = setting(
        "sysu_mm01",
        "Layout of the data set; images of your own: listed in images.csv, or in folders.",
        choices=(
            "sysu_mm01",
            "regdb",
            "llcm",
            "market1501",
            "cuhk03_np_detected",
            "cuhk03_np_labeled",
            "msmt17",
            "own_images",
            "own_folders",
        ),
    )
    trial: int = setting(1, "Trial of a data set with several splits (RegDB).", minimum=1)
    skip_unreadable: bool = setting(
        False, "Leave out and count images that cannot be decoded, instead of stopping."
    )


@dataclass(frozen=True)
class Input(Group):
    """The form in which an image enters the network."""

    image_height: int = setting(256, "Height of the network's input, in pixels. [code]", minimum=16)
    image_width: int = setting(128, "Width of the network's input, in pixels. [code]", minimum=8)


@dataclass(frozen=True)
class Network(Group):
    """The two-stream network."""

    backbone: str = setting(
        "resnet50",
        "ResNet whose batch norms are the sites. [code]",
        choices=("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
    )
    width: float = setting(
        1.0, "Factor on the number of channels of every stage.", minimum=0.0625, maximum=4.0
    )
    last_stride: int = setting(
        1, "Stride of the last stage; 1 keeps a larger feature map. [code]", choices=(1, 2)
    )


@dataclass(frozen=True)
class Start(Group):
    """What the weights are before the first step."""

    initial_weights: str = setting(
        "",
        "Checkpoint that the network starts from, of a run or made by import_weights; or "
        "`imagenet`: torchvision's weights, fetched once [code]. Random weights without it.",
    )


@dataclass(frozen=True)
class Batch(Group):
    """A batch: P identities, K images of each, per modality; over all devices together."""

    identities_per_batch: int = setting(16, "P, identities in a batch. [code]", minimum=2)
    images_per_identity: int = setting(
        4, "K, images of each identity in each modality. [code]", minimum=1
    )

    @property
    def rows(self) -> int:
        """Rows of one modality, P x K."""
        return self.identities_per_batch * self.images_per_identity


@dataclass(frozen=True)
class Pipeline(Group):
    """How images reach the training step."""

    pad: int = setting(10, "Zero padding before the random crop, in pixels. [code]", minimum=0)
    flip_probability: float = setting(
        0.5, "Probability of a horizontal flip. [code]", minimum=0, maximum=1
    )
    erase_probability: float = setting(
        0.5, "Probability of erasing a rectangle. [code]", minimum=0, maximum=1
    )
    cache: str = setting(
        "none",
        "What to keep in memory: nothing, the files' bytes, or decoded pixels.",
        choices=("none", "encoded", "decoded"),
        shapes_result=False,
    )


@dataclass(frozen=True)
class Loss(Group):
    """The terms of the objective."""

    cross_entropy_weight: float = setting(1.0, "Weight of the cross entropy. [code]", minimum=0)
    triplet_weight: float = setting(1.0, "Weight of the four-way triplet. [code]", minimum=0)
    correlation_weight: float = setting(
        5.0, "Weight of the correlation consistency, one half of C3MMD. [code]", minimum=0
    )
    mmd_weight: float = setting(
        0.05, "Weight of the class-specific MMD, one half of C3MMD. [code]", minimum=0
    )
    margin: float = setting(0.4, "Margin of the triplet; below 0 the soft margin is used. [code]")
    label_smoothing: float = setting(
        0.0, "Label smoothing of the cross entropy.", minimum=0, maximum=0.999
    )


@dataclass(frozen=True)
class ArchitectureLoss(Group):
    """The terms that the architecture logits follow: cross entropy + triplet + C3MMD [pub]."""

    architecture_cross_entropy_weight: float = setting(
        1.0, "Cross entropy in the architecture loss (0 with --split=identities).", minimum=0
    )
    architecture_triplet_weight: float = setting(
        1.0, "Triplet in the architecture loss.", minimum=0
    )
    architecture_correlation_weight: float = setting(
        5.0, "Correlation consistency in the architecture loss.", minimum=0
    )
    architecture_mmd_weight: float = setting(
        0.05, "Class-specific MMD in the architecture loss.", minimum=0
    )


@dataclass(frozen=True)
class WeightOptimizer(Group):
    """Adam with coupled weight decay, and its schedule."""

    backbone_learning_rate: float = setting(
        0.001, "Learning rate of the backbone, after warm-up. [code]", minimum=0
    )
    head_learning_rate: float = setting(
        0.01, "Learning rate of neck and classifier, after warm-up. [code]", minimum=0
    )
    weight_decay: float = setting(
        5e-4, "L2 added to the gradient of every weight (coupled, not AdamW). [code]", minimum=0
    )
    learning_rate_warmup: float = setting(
        10.0, "Epochs of linear warm-up, from 0.01 of the learning rate. [code]", minimum=0
    )
    decay_epochs: tuple[float, ...] = setting(
        (40.0, 70.0), "Epochs after which the learning rate is multiplied by 0.1. [code]"
    )
    schedule_every: str = setting(
        "epoch",
        "Move the learning rate at each epoch [code], or smoothly at each step.",
        choices=("epoch", "step"),
    )


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
    """What the run is computed on."""

    logical_devices: int = setting(
        0, "Split the CPU into this many logical devices (0: do not).", minimum=0
    )
    batch_norm: str = setting(
        "per_replica",
        "Batch statistics over each device's rows [code] or over all devices' rows.",
        choices=("per_replica", "synchronized"),
    )


@dataclass(frozen=True)
class Progress(Group):
    """What is shown and kept while a run goes on."""

    keep_checkpoints: int = setting(
        2, "Checkpoints to keep, newest first.", minimum=1, shapes_result=False
    )
    progress: bool = setting(True, "Show a progress bar.", shapes_result=False)


@dataclass(frozen=True)
class SearchSchedule(Group):
    """The bilevel search; the authors released none of it, so all of it is our choice."""

    epochs: int = setting(60, "Epochs of the search.", minimum=1)
    warmup_epochs: int = setting(
        10, "First epochs, in which the architecture logits are not updated.", minimum=0
    )
    split: str = setting(
        "within_identity",
        "Halve the images of each identity, or the identities, between weights and architecture.",
        choices=("within_identity", "identities"),
    )
    relaxation: str = setting(
        "softmax",
        "How logits become mixture weights: softmax, or Gumbel-softmax with annealing.",
        choices=("softmax", "gumbel"),
    )
    initial_temperature: float = setting(5.0, "Gumbel temperature at first.", minimum=0.01)
    final_temperature: float = setting(0.5, "Gumbel temperature at last.", minimum=0.01)
    architecture_learning_rate: float = setting(
        1e-3, "Learning rate of the architecture logits (Adam 0.5, 0.999).", minimum=0
    )
    architecture_weight_decay: float = setting(
        1e-3, "L2 added to the gradient of the architecture logits.", minimum=0
    )


@dataclass(frozen=True)
class TrainSchedule(Group):
    """Training a derived or hand-made architecture."""

    architecture: str = setting(
        "shared",
        "architecture.json or config.cfg of the network, or `shared`, `separate`, or "
        "`until:STAGE` (separate up to there, for example until:layer2).",
    )
    epochs: int = setting(120, "Epochs of the training. [code]", minimum=1)
    average_decay: float = setting(
        0.997,
        "Decay per step of the moving average of weights and statistics "
        "(0.997 SYSU-MM01, 0.968 RegDB [code]; 0 switches it off).",
        minimum=0,
        maximum=0.99999,
    )


@dataclass(frozen=True)
class Protocol(Group):
    """How a network is measured."""

    mode: str = setting(
        "all", "SYSU-MM01 gallery: all cameras or the indoor ones.", choices=("all", "indoor")
    )
    shots: int = setting(1, "SYSU-MM01 gallery images per identity and camera.", choices=(1, 10))
    trials: int = setting(10, "SYSU-MM01, LLCM: galleries to average over.", minimum=1, maximum=10)
    gallery_sampling: str = setting(
        "seeded",
        "SYSU-MM01 gallery: as the AGW and CM-NAS code draws it, or the official permutation.",
        choices=("seeded", "official"),
    )
    direction: str = setting(
        "both",
        "RegDB, LLCM: which modality asks for which.",
        choices=("both", "visible_to_infrared", "infrared_to_visible"),
    )
    embed_batch: int = setting(
        64, "Images that are embedded at a time.", minimum=1, shapes_result=False
    )


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
class SyntheticPeople(Group):
    """Synthetic people: everything that decides the files of such a data set."""

    dataset: str = setting(
        "sysu_mm01",
        "The data set whose tree is imitated.",
        choices=("sysu_mm01", "regdb", "market1501"),
    )
    train_identities: int = setting(300, "People to train on.", minimum=2, maximum=4999)
    test_identities: int = setting(50, "Other people, to test on.", minimum=2, maximum=4999)
    images_per_camera: int = setting(
        2, "Images of every person from every camera.", minimum=1, maximum=9999
    )
    distractors: int = setting(
        10, "Market-1501: further people, in the gallery only.", minimum=0, maximum=4999
    )
    junk: int = setting(
        50, "Market-1501: badly cut images in the gallery folder.", minimum=0, maximum=9999
    )
    image_height: int = setting(64, "Height of an image, in pixels.", minimum=32, maximum=4096)
    image_width: int = setting(32, "Width of an image, in pixels.", minimum=16, maximum=4096)
    materials: int = setting(6, "Garment materials that all people share.", minimum=4, maximum=64)
    reflectance_correlation: float = setting(
        0.5,
        "Correlation of luminance with infrared reflectance over the materials; at 1 infrared is a "
        "grey-scale photograph.",
        minimum=0,
        maximum=1,
    )
    difficulty: float = setting(
        0.5,
        "0 (easy) to 1 (hard): variety of views, positions, scales, occlusion, clutter, light, "
        "blur and noise.",
        minimum=0,
        maximum=1,
    )
    seed: int = setting(0, "Seed of every random draw.", minimum=0, maximum=2**32 - 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dataset == "market1501" and self.images_per_camera < 2:
            raise BadInput(
                f"--images_per_camera={self.images_per_camera} leaves no gallery to market1501, "
                "where the first image from each camera is the query; it must be at least 2."
            )


@dataclass(frozen=True)
class Target(Group):
    """Where and how the files are written."""

    data_dir: str = setting(
        "", "Folder to write; it must not exist or hold this very data set.", shapes_result=False
    )
    processes: int = setting(
        0, "Processes that draw at the same time; 0: one per core.", minimum=0, shapes_result=False
    )
    contact_sheet: str = setting(
        "", "Also write a picture of some people as this PNG file.", shapes_result=False
    )
    progress: bool = setting(True, "Show a progress bar.", shapes_result=False)


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
    progress: Progress = Progress()


@dataclass(frozen=True)
class Evaluate:
    """Settings of ``python -m cmnas_tf.evaluate``."""

    run: RunFolder = RunFolder()
    data: Data = Data()
    checkpoint: Checkpoint = Checkpoint()
    protocol: Protocol = Protocol()
    devices: Devices = Devices()
    progress: Progress = Progress()


@dataclass(frozen=True)
class Demo:
    """Settings of ``python -m cmnas_tf.demo``."""

    run: Run = Run()


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
class Export:
    """Settings of ``python -m export.export_saved_model``."""

    run: RunFolder = RunFolder()
    checkpoint: Checkpoint = Checkpoint()
    target: ExportTarget = ExportTarget()


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
class ImportWeights:
    """Settings of ``python -m cmnas_tf.import_weights``."""

    file: WeightFile = WeightFile()
    network: Network = Network()
    input: Input = Input()


@dataclass(frozen=True)
class TorchTarget(Group):
    """Where the weights for PyTorch go."""

    export_dir: str = setting("", "Folder to write; it must not exist.", shapes_result=False)
    module_prefix: bool = setting(
        False, "Begin every name with `module.`, as the authors' programs load and save them."
    )


@dataclass(frozen=True)
class ExportTorch:
    """Settings of ``python -m export.export_torch``."""

    run: RunFolder = RunFolder()
    checkpoint: Checkpoint = Checkpoint()
    target: TorchTarget = TorchTarget()


def groups(settings: Any) -> dict[str, type[Group]]:
    """The groups of a command's settings (class or instance), by name."""
    return {group.name: type(group.default) for group in dataclasses.fields(settings)}  # type: ignore[misc]


def fields(settings: Any) -> Iterator[tuple[str, dataclasses.Field]]:
    """``(group, field)`` of every setting of a command's settings (class or instance)."""
    for name, group in groups(settings).items():
        for field in dataclasses.fields(group):  # type: ignore[arg-type]
            yield name, field


def shaping_result(settings: Any) -> dict[str, Any]:
    """``{name: value}`` of the settings that another result would follow from, flat, JSON-ready."""
    return {
        field.name: _plain(getattr(getattr(settings, group), field.name))
        for group, field in fields(settings)
        if field.metadata["shapes_result"]
    }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
