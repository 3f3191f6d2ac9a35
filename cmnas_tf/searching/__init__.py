"""Search algorithms: how a space is searched, and how good what it holds is."""

from cmnas_tf.searching.algorithm import ALGORITHMS, AlgorithmChoice, SearchAlgorithm, Task
from cmnas_tf.searching.darts import Darts
from cmnas_tf.searching.one_shot import OneShot
from cmnas_tf.searching.random_search import RandomSearch

__all__ = [
    "ALGORITHMS",
    "AlgorithmChoice",
    "Darts",
    "OneShot",
    "RandomSearch",
    "SearchAlgorithm",
    "Task",
]
