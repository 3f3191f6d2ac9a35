"""Neural architecture search for person re-identification: CM-NAS and Auto-ReID in TensorFlow.

::

    import cmnas_tf as reid

    people  = reid.load_dataset("sysu_mm01", "SYSU-MM01")
    found   = reid.find_architecture(people, reid.NormSpace("resnet50"), reid.Darts(epochs=60))
    model   = reid.train_network(people, found.architecture, reid.Recipe(epochs=120))
    scores  = reid.evaluate_network(model, people)
    vectors = model.embed_files(["a.jpg", "b.jpg"], modality="infrared")
    reid.export_saved_model(model, "runs/export")

Public names are loaded when they are first used: importing this package imports nothing else.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

_HOMES = {
    "cmnas_tf.architecture": ("Architecture",),
    "cmnas_tf.data": ("Dataset", "load_dataset", "register_dataset"),
    "cmnas_tf.data.augmentation": ("Augmentation", "ImageSize"),
    "cmnas_tf.data.joining": ("join_datasets",),
    "cmnas_tf.data.sampling": ("Sampling",),
    "cmnas_tf.data.synthetic": ("write_dataset",),
    "cmnas_tf.data.synthetic_plan": ("SyntheticPeople",),
    "cmnas_tf.devices.devices": ("Devices",),
    "cmnas_tf.errors": ("BadInput", "Stopped", "TrainingDiverged"),
    "cmnas_tf.evaluation.evaluate": ("Scores", "evaluate_network", "evaluate_protocols"),
    "cmnas_tf.evaluation.matching": ("Matching",),
    "cmnas_tf.losses": ("ArchitectureWeights", "Objective", "register_loss"),
    "cmnas_tf.models.backbones": ("register_backbone",),
    "cmnas_tf.runs.how_it_runs": ("Checkpointing",),
    "cmnas_tf.search_spaces": ("CellSpace", "DartsCells", "NormSpace", "SearchSpace"),
    "cmnas_tf.searching": ("Darts", "OneShot", "RandomSearch", "SearchAlgorithm"),
    "cmnas_tf.searching.search": ("Found", "find_architecture"),
    "cmnas_tf.serving.build_gallery": ("build_gallery",),
    "cmnas_tf.serving.export": ("export_saved_model",),
    "cmnas_tf.serving.export_torch": ("export_torch",),
    "cmnas_tf.serving.exported_model": ("ServedForm",),
    "cmnas_tf.training.import_weights": ("import_weights",),
    "cmnas_tf.training.recipe": ("Numerics", "Recipe", "Start", "WeightOptimizer"),
    "cmnas_tf.training.train": ("train_network",),
    "cmnas_tf.training.trained": ("TrainedNetwork", "load_network"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)

if TYPE_CHECKING:
    from cmnas_tf.architecture import Architecture as Architecture
    from cmnas_tf.data import Dataset as Dataset
    from cmnas_tf.data import load_dataset as load_dataset
    from cmnas_tf.data import register_dataset as register_dataset
    from cmnas_tf.data.augmentation import Augmentation as Augmentation
    from cmnas_tf.data.augmentation import ImageSize as ImageSize
    from cmnas_tf.data.joining import join_datasets as join_datasets
    from cmnas_tf.data.sampling import Sampling as Sampling
    from cmnas_tf.data.synthetic import write_dataset as write_dataset
    from cmnas_tf.data.synthetic_plan import SyntheticPeople as SyntheticPeople
    from cmnas_tf.devices.devices import Devices as Devices
    from cmnas_tf.errors import BadInput as BadInput
    from cmnas_tf.errors import Stopped as Stopped
    from cmnas_tf.errors import TrainingDiverged as TrainingDiverged
    from cmnas_tf.evaluation.evaluate import Scores as Scores
    from cmnas_tf.evaluation.evaluate import evaluate_network as evaluate_network
    from cmnas_tf.evaluation.evaluate import evaluate_protocols as evaluate_protocols
    from cmnas_tf.evaluation.matching import Matching as Matching
    from cmnas_tf.losses import ArchitectureWeights as ArchitectureWeights
    from cmnas_tf.losses import Objective as Objective
    from cmnas_tf.losses import register_loss as register_loss
    from cmnas_tf.models.backbones import register_backbone as register_backbone
    from cmnas_tf.runs.how_it_runs import Checkpointing as Checkpointing
    from cmnas_tf.search_spaces import CellSpace as CellSpace
    from cmnas_tf.search_spaces import DartsCells as DartsCells
    from cmnas_tf.search_spaces import NormSpace as NormSpace
    from cmnas_tf.search_spaces import SearchSpace as SearchSpace
    from cmnas_tf.searching import Darts as Darts
    from cmnas_tf.searching import OneShot as OneShot
    from cmnas_tf.searching import RandomSearch as RandomSearch
    from cmnas_tf.searching import SearchAlgorithm as SearchAlgorithm
    from cmnas_tf.searching.search import Found as Found
    from cmnas_tf.searching.search import find_architecture as find_architecture
    from cmnas_tf.serving.build_gallery import build_gallery as build_gallery
    from cmnas_tf.serving.export import export_saved_model as export_saved_model
    from cmnas_tf.serving.export_torch import export_torch as export_torch
    from cmnas_tf.serving.exported_model import ServedForm as ServedForm
    from cmnas_tf.training.import_weights import import_weights as import_weights
    from cmnas_tf.training.recipe import Numerics as Numerics
    from cmnas_tf.training.recipe import Recipe as Recipe
    from cmnas_tf.training.recipe import Start as Start
    from cmnas_tf.training.recipe import WeightOptimizer as WeightOptimizer
    from cmnas_tf.training.train import train_network as train_network
    from cmnas_tf.training.trained import TrainedNetwork as TrainedNetwork
    from cmnas_tf.training.trained import load_network as load_network


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
