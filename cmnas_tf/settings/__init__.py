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
    Prepare,
    Search,
    Train,
    Trials,
)
from cmnas_tf.settings.group import Group, fields, groups, setting, shaping_result
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

__all__ = [
    "ArchitectureLoss",
    "Arithmetic",
    "Batch",
    "Checkpoint",
    "Checkpointing",
    "Data",
    "DataFolder",
    "Demo",
    "Devices",
    "Direction",
    "Evaluate",
    "Export",
    "ExportTarget",
    "ExportTorch",
    "Group",
    "ImportWeights",
    "Input",
    "Loss",
    "MakeSynthetic",
    "Matching",
    "Network",
    "Pipeline",
    "Preparation",
    "Prepare",
    "Progress",
    "Protocol",
    "ResultFiles",
    "Run",
    "RunFolder",
    "Search",
    "SearchSchedule",
    "Splits",
    "Start",
    "SyntheticPeople",
    "Target",
    "TorchTarget",
    "Train",
    "TrainSchedule",
    "TrainingDevices",
    "Trials",
    "WeightFile",
    "WeightOptimizer",
    "fields",
    "groups",
    "setting",
    "shaping_result",
]
