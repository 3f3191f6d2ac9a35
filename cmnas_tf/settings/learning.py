"""Settings of networks, objectives, optimizers and schedules."""

from dataclasses import dataclass

from cmnas_tf.errors import BadInput
from cmnas_tf.settings.group import Group, setting


@dataclass(frozen=True)
class Network(Group):
    """The two-stream network."""

    backbone: str = setting(
        "",
        "resnet18, 34, 50, 101 or 152, or an architecture.json or genotype.json: whose batch norms "
        "are the sites. By default that of the file of --architecture, else resnet50. [code]",
    )
    cells: tuple[int, ...] = setting(
        (),
        "Cells of each stage, where the backbone is made of cells. By default those of its file, "
        "else 2,2,2,2.",
    )
    width: float = setting(
        1.0, "Factor on the number of channels of every stage.", minimum=0.0625, maximum=4.0
    )
    last_stride: int = setting(
        1,
        "Stride of a ResNet's last stage; 1 keeps a larger feature map. [code]",
        choices=(1, 2),
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
class Loss(Group):
    """The terms of the objective."""

    objective: str = setting(
        "retrieval",
        "What weights and architecture are to be good for: retrieval, by all terms below, or "
        "classification, by cross entropy alone, of weight 1, whatever the weights say.",
        choices=("retrieval", "classification"),
    )
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
    latency_weight: float = setting(
        0.0,
        "Expected multiply-adds of the mixture of cells, over those of an even one, in the "
        "architecture loss (beyond the paper).",
        minimum=0,
    )


@dataclass(frozen=True)
class WeightOptimizer(Group):
    """Adam or SGD with coupled weight decay, and the schedule."""

    optimizer: str = setting(
        "adam",
        "Adam (0.5, 0.999) [code], or SGD with momentum.",
        choices=("adam", "sgd"),
    )
    momentum: float = setting(0.9, "Momentum of SGD.", minimum=0, maximum=0.99999)
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
    schedule: str = setting(
        "steps",
        "After warm-up the learning rate falls in steps, at --decay_epochs [code], or along half a "
        "cosine, to --final_learning_rate of it at the end.",
        choices=("steps", "cosine"),
    )
    decay_epochs: tuple[float, ...] = setting(
        (40.0, 70.0), "Epochs after which the learning rate is multiplied by 0.1. [code]"
    )
    final_learning_rate: float = setting(
        0.01, "Cosine: what is left of the learning rate at the end.", minimum=0, maximum=1
    )
    schedule_every: str = setting(
        "epoch",
        "Move the learning rate at each epoch [code], or smoothly at each step.",
        choices=("epoch", "step"),
    )


@dataclass(frozen=True)
class SearchSchedule(Group):
    """The bilevel search; the authors released none of it, so all of it is our choice."""

    search_space: str = setting(
        "norm",
        "What is searched: which batch norms are separate per modality (CM-NAS), or the operations "
        "of two cells, for one modality: Auto-ReID's, or those of them that DARTS has.",
        choices=("norm", "reid_cells", "darts_cells"),
    )
    modality: str = setting(
        "all",
        "Images to search on, of a data set that has two modalities.",
        choices=("all", "visible", "infrared"),
    )
    epochs: int = setting(60, "Epochs of the search.", minimum=1)
    warmup_epochs: int = setting(
        10, "First epochs, in which the architecture logits are not updated.", minimum=0
    )
    split: str = setting(
        "within_identity",
        "Halve the images of each identity, or the identities, between weights and architecture.",
        choices=("within_identity", "identities"),
    )
    order: str = setting(
        "first",
        "Whether the architecture's gradient takes the weights as they are (first), or counts in "
        "how they would follow (second: about three times the work of a step).",
        choices=("first", "second"),
    )
    architecture_statistics: str = setting(
        "running",
        "What batch norms normalise by in the architecture loss: running statistics, as a test "
        "does, or those of its batch, as training does (DARTS).",
        choices=("running", "batch"),
    )
    relaxation: str = setting(
        "softmax",
        "How logits become mixture weights: softmax [Auto-ReID: pub], Gumbel-softmax with "
        "annealing, or gdas: the candidate that it draws alone, with its gradient.",
        choices=("softmax", "gumbel", "gdas"),
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
        "architecture.json or config.cfg of the network, or `shared`, `separate`, `until:STAGE` "
        "(separate up to there, for example until:layer2), or `within:STAGE` (only there), "
        "or `random:SEED`: random cells with as many parameters as those of --backbone=FILE.",
    )
    epochs: int = setting(120, "Epochs of the training. [code]", minimum=1)
    average_decay: float = setting(
        0.997,
        "Decay per step of the moving average of weights and statistics "
        "(0.997 SYSU-MM01, 0.968 RegDB [code]; 0 switches it off).",
        minimum=0,
        maximum=0.99999,
    )
    adopt_average_every: int = setting(
        0,
        "Epochs after which training goes on from the moving average, which overwrites weights and "
        "statistics (2 SYSU-MM01, 10 RegDB [code]); 0: never, the average is kept apart.",
        minimum=0,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.adopt_average_every and not self.average_decay:
            raise BadInput(
                f"--adopt_average_every={self.adopt_average_every} has no moving average to adopt, "
                "because --average_decay=0 switches it off; change one of them."
            )
