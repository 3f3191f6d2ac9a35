"""What ``import cmnas_tf`` offers, and where it lives: for type checkers and for the package."""

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
from cmnas_tf.serving.embed_in_bulk import embed_in_bulk as embed_in_bulk
from cmnas_tf.serving.export import export_saved_model as export_saved_model
from cmnas_tf.serving.export_torch import export_torch as export_torch
from cmnas_tf.serving.exported_model import ServedForm as ServedForm
from cmnas_tf.serving.rank_in_bulk import rank_in_bulk as rank_in_bulk
from cmnas_tf.training.import_weights import import_weights as import_weights
from cmnas_tf.training.recipe import Numerics as Numerics
from cmnas_tf.training.recipe import Recipe as Recipe
from cmnas_tf.training.recipe import Start as Start
from cmnas_tf.training.recipe import WeightOptimizer as WeightOptimizer
from cmnas_tf.training.train import train_network as train_network
from cmnas_tf.training.trained import TrainedNetwork as TrainedNetwork
from cmnas_tf.training.trained import load_network as load_network

__version__: str
__all__: list[str]
