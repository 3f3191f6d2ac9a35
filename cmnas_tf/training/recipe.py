"""How weights are trained: the options of a training, and of what a search does to its weights."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar

from cmnas_tf.data.augmentation import Augmentation, ImageSize
from cmnas_tf.data.index import Dataset
from cmnas_tf.data.sampling import Sampling
from cmnas_tf.errors import BadInput
from cmnas_tf.losses import Objective
from cmnas_tf.network_parts import PLAIN, NetworkParts
from cmnas_tf.options import Options, advanced, described, option, path_option
from cmnas_tf.runs.run_folder import ANYTHING, content_of
from cmnas_tf.training.recipes import RECIPES

T = TypeVar("T", bound="WeightTraining")


@dataclass(frozen=True, kw_only=True)
class WeightOptimizer(Options):
    """Adam or SGD with coupled weight decay, and the learning rate's schedule."""

    optimizer: str = option(
        "adam", "Adam (0.5, 0.999) [code], or SGD with momentum.", choices=("adam", "sgd")
    )
    momentum: float = advanced(0.9, "Momentum of SGD.", minimum=0, maximum=0.99999)
    nesterov: bool = advanced(False, "Nesterov's momentum, for SGD (AGW).")
    backbone_learning_rate: float = option(
        0.001, "Learning rate of the backbone, after warm-up. [code]", minimum=0
    )
    head_learning_rate: float = option(
        0.01, "Learning rate of neck and classifier, after warm-up. [code]", minimum=0
    )
    weight_decay: float = advanced(
        5e-4, "L2 added to the gradient of every weight (coupled, not AdamW). [code]", minimum=0
    )
    learning_rate_warmup: float = advanced(
        10.0,
        "Epochs in which the learning rate grows linearly to its full size. [code]",
        minimum=0,
    )
    warmup_start: float = advanced(
        0.01, "Share of the learning rate that warm-up starts from. [code]", minimum=0, maximum=1
    )
    schedule: str = option(
        "steps",
        "How the learning rate falls after warm-up: in steps, at `decay_epochs` [code], or along "
        "half a cosine, to `final_learning_rate` of its full size.",
        choices=("steps", "cosine"),
    )
    decay_epochs: tuple[float, ...] = option(
        (40.0, 70.0), "Epochs after which the learning rate is multiplied by 0.1. [code]"
    )
    final_learning_rate: float = advanced(
        0.01, "Share of the learning rate that a cosine ends with.", minimum=0, maximum=1
    )
    schedule_every: str = advanced(
        "epoch",
        "Change the learning rate once an epoch [code], or smoothly at each step.",
        choices=("epoch", "step"),
    )


@dataclass(frozen=True, kw_only=True)
class Numerics(Options):
    """Precision, speed, and how alike two runs are."""

    precision: str = option(
        "float32",
        "Precision of the feature maps (mixed precision); weights, statistics, losses and ranking "
        "stay float32.",
        choices=("float32", "bfloat16", "float16"),
    )
    batch_norm: str = advanced(
        "per_replica",
        "Batch statistics of the rows of each device alone [code], or of all devices together.",
        choices=("per_replica", "synchronized"),
    )
    deterministic: bool = advanced(
        False,
        "Use only GPU kernels that give the same bits each time. Slower: some operations are "
        "refused, and XLA compiles nothing.",
    )
    xla: str = advanced(
        "auto",
        "Let XLA compile whole steps. It takes a minute or more before the first one; on an H100 "
        "each step then takes 0.6 of the time and memory. auto: on one GPU.",
        choices=("auto", "on", "off"),
        affects_result=False,
    )
    recompute: bool = advanced(
        False,
        "Keep only the input of each residual block or cell and compute the rest again for the "
        "gradient (rematerialization): less memory for one more forward pass, and the same result "
        "but for rounding.",
    )


@dataclass(frozen=True, kw_only=True)
class Start(Options):
    """What the weights are before the first step."""

    initial_weights: str = path_option(
        "Checkpoint that the network starts from, or the folder of a run that has one "
        "(fine-tuning); or imagenet: torchvision's weights, fetched once [code]. Random weights "
        "without it.",
        recorded=content_of,
    )


@dataclass(frozen=True, kw_only=True)
class Reading(Options):
    """How images are read."""

    cache: str = option(
        "none",
        "What to keep in memory: nothing, the files' bytes, or decoded pixels.",
        choices=("none", "encoded", "decoded"),
        affects_result=False,
    )


@dataclass(frozen=True, kw_only=True)
class WeightTraining(Options):
    """What every training of weights has: that of a network, and that within a search."""

    kind: ClassVar[str] = "train"  # of a named recipe's values, "search" or "train"
    size: ImageSize = ImageSize()
    sampling: Sampling = Sampling()
    augmentation: Augmentation = Augmentation()
    reading: Reading = Reading()
    objective: Objective = Objective()
    optimizer: WeightOptimizer = WeightOptimizer()
    start: Start = Start()
    numerics: Numerics = Numerics()

    @classmethod
    def named(cls: type[T], name: str, **changes: Any) -> T:
        """That of a named recipe of :data:`RECIPES`, with some options changed.

        What a recipe says besides, of the network or the space, is for them.
        """
        return cls.of_values(RECIPES[name].values(cls.kind)).with_values(**changes)

    def for_modalities(self: T, modalities: Collection[str]) -> T:
        """The same for images of these modalities, see :meth:`LossWeights.for_modalities`."""
        return replace(self, objective=self.objective.for_modalities(modalities))


@dataclass(frozen=True, kw_only=True)
class Measuring(Options):
    """Whether and on whom the network is measured while it is trained."""

    measure_every: int = option(
        0,
        "Epochs after which the moving average is measured; the checkpoint of the highest mAP is "
        "kept as best.safetensors (0: never).",
        minimum=0,
    )
    measure_on: str = option(
        "held_out",
        "Training people whom the weights then never see (held_out), or the test people by the "
        "data set's protocol (test): chosen on those, an epoch looks better than it is.",
        choices=("held_out", "test"),
    )
    held_out: float = option(
        0.1, "Part of the training people that is held out. Our choice.", minimum=0.01, maximum=0.5
    )


@dataclass(frozen=True, kw_only=True)
class Recipe(WeightTraining):
    """How an architecture is trained; the defaults are the authors' recipe of CM-NAS."""

    epochs: int = option(
        120, "Epochs; a run of fewer is trained further where schedule=steps. [code]", minimum=1
    )
    average_decay: float = advanced(
        0.997,
        "Decay per step of the exponential moving average of weights and statistics "
        "(0.997 SYSU-MM01, 0.968 RegDB [code]; 0 switches it off).",
        minimum=0,
        maximum=0.99999,
    )
    adopt_average_every: int = advanced(
        0,
        "Epochs after which training continues from the moving average, which overwrites weights "
        "and statistics (2 SYSU-MM01, 10 RegDB [code]); 0: never, the average is kept apart.",
        minimum=0,
    )
    measuring: Measuring = Measuring()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.adopt_average_every and not self.average_decay:
            raise BadInput(
                f"adopt_average_every={self.adopt_average_every} has no moving average to adopt, "
                "because average_decay=0 switches it off; change one of them."
            )


# What earlier versions recorded besides: the folder's architecture and the images tell it.
TOLD_OTHERWISE: dict[str, Any] = dict.fromkeys(
    ("architecture", "backbone", "cells", "skip_unreadable"), ANYTHING
)


def training_settings(
    dataset: Dataset,
    recipe: Recipe,
    seed: int,
    width: float,
    last_stride: int,
    parts: NetworkParts = PLAIN,
) -> dict[str, Any]:
    """What the result of a training follows from, besides images and architecture; JSON-ready."""
    return {
        "dataset": dataset.layouts,
        "trial": dataset.trial,
        **described([recipe, parts]),
        "seed": seed,
        "width": width,
        "last_stride": last_stride,
    }
