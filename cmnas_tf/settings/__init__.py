"""Every setting of every command: its type, default, unit, range and meaning, in one place.

A command's settings are a frozen dataclass of *groups*; a group is a frozen dataclass whose fields
are made by :func:`setting`. ``command_line`` turns each field into the flag of the same name, so a
name is used once. Values marked [pub] and [code] are the authors' (paper, released code); the
others are our choice.
"""

from cmnas_tf.settings.commands import (
    Demo,
    Evaluate,
    Export,
    ExportTorch,
    ImportWeights,
    MakeSynthetic,
    Search,
    Train,
)
from cmnas_tf.settings.group import Group, fields, groups, setting, shaping_result
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

__all__ = [
    "ArchitectureLoss",
    "Batch",
    "Checkpoint",
    "Checkpointing",
    "Data",
    "Demo",
    "Devices",
    "Evaluate",
    "Export",
    "ExportTarget",
    "ExportTorch",
    "Group",
    "ImportWeights",
    "Input",
    "Loss",
    "MakeSynthetic",
    "Network",
    "Pipeline",
    "Progress",
    "Protocol",
    "Run",
    "RunFolder",
    "Search",
    "SearchSchedule",
    "Start",
    "SyntheticPeople",
    "Target",
    "TorchTarget",
    "Train",
    "TrainSchedule",
    "WeightFile",
    "WeightOptimizer",
    "fields",
    "groups",
    "setting",
    "shaping_result",
]
