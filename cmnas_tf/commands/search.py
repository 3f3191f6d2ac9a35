"""``cmnas search``: which architecture is the best of a search space?"""

from dataclasses import dataclass
from typing import ClassVar

from cmnas_tf.commands.options_of_runs import Data, Run
from cmnas_tf.devices.threads import Threads
from cmnas_tf.runs.how_it_runs import HowItRuns
from cmnas_tf.search_spaces import SpaceChoice
from cmnas_tf.searching import AlgorithmChoice
from cmnas_tf.searching.algorithm import Modality
from cmnas_tf.training.recipes import ByRecipe


@dataclass(frozen=True, kw_only=True)
class Search(ByRecipe):
    """Searches a space for the best architecture, and writes it to the run's folder."""

    kind: ClassVar[str] = "search"
    run: Run = Run()
    data: Data = Data()
    modality: Modality = Modality()
    space: SpaceChoice = SpaceChoice()
    algorithm: AlgorithmChoice = AlgorithmChoice()
    threads: Threads = Threads()
    how: HowItRuns = HowItRuns()


def main(command: Search) -> None:
    """Runs the search, says what it found and where that is."""
    space, algorithm = command.space.make(), command.algorithm.make()

    from cmnas_tf.models.cost import Latency
    from cmnas_tf.reading import read_json
    from cmnas_tf.searching.search import find_architecture

    dataset = command.data.load_joined(algorithm.size.grey16_range)
    found = find_architecture(
        dataset.of_modality(command.modality.modality),
        space,
        algorithm,
        run_dir=command.run.run_dir,
        seed=command.run.seed,
        threads=command.threads.threads,
        **command.how.arguments(),
    )
    print(found)
    if found.run.latency.is_file():
        form, advice = Latency.__annotations__, "Remove it to measure it again."
        print(Latency(**read_json(found.run.latency, form, "a latency", advice)))
    print(f"written to {found.run.architecture}")
