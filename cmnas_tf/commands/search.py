"""``cmnas search``: which architecture is the best of a search space?"""

import json
from dataclasses import dataclass

from cmnas_tf.commands.one_of import OneOf
from cmnas_tf.commands.options_of_runs import Data, HowItRuns, Run
from cmnas_tf.options import Option, Options, option
from cmnas_tf.search_spaces import SPACES, SearchSpace
from cmnas_tf.searching import ALGORITHMS, SearchAlgorithm


@dataclass(frozen=True, kw_only=True)
class SearchData(Data):
    """Which images."""

    modality: str = option(
        "all",
        "Images to search on, of a data set that has two modalities.",
        choices=("all", "visible", "infrared"),
    )


class Space(OneOf[SearchSpace]):
    """What is searched."""

    registry = SPACES
    selector = Option(
        "search_space",
        str,
        "norm",
        "What is searched: which batch norms are separate per modality (CM-NAS), or the operations "
        "of two cells, for one modality: Auto-ReID's, or those of them that DARTS has.",
    )


class Algorithm(OneOf[SearchAlgorithm]):
    """How it is searched."""

    registry = ALGORITHMS
    selector = Option(
        "algorithm",
        str,
        "darts",
        "How it is searched: darts trains weights and architecture in turns; random trains some "
        "architectures drawn at random, at the same price, and keeps the best.",
    )


@dataclass(frozen=True, kw_only=True)
class Search(Options):
    """Searches a space for the best architecture, and writes it to the run's folder."""

    run: Run = Run()
    data: SearchData = SearchData()
    space: Space = Space()
    algorithm: Algorithm = Algorithm()
    how: HowItRuns = HowItRuns()


def main(command: Search) -> None:
    """Runs the search, says what it found and where that is."""
    space, algorithm = command.space.make(), command.algorithm.make()

    from cmnas_tf.models.latency import Latency
    from cmnas_tf.searching.search import find_architecture

    found = find_architecture(
        command.data.load("train").of_modality(command.data.modality),
        space,
        algorithm,
        run_dir=command.run.run_dir,
        seed=command.run.seed,
        **command.how.arguments(),
    )
    print(found)
    if found.run.latency.is_file():
        print(Latency(**json.loads(found.run.latency.read_text(encoding="utf-8"))))
    print(f"written to {found.run.architecture}")
