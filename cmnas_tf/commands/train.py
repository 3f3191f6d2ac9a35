"""``cmnas train``: train one architecture."""

from dataclasses import dataclass
from typing import ClassVar

from cmnas_tf.commands.options_of_runs import Data, Run
from cmnas_tf.devices.threads import Threads
from cmnas_tf.runs.how_it_runs import HowItRuns
from cmnas_tf.search_spaces.named_architecture import NetworkChoice
from cmnas_tf.training.recipe import Recipe
from cmnas_tf.training.recipes import ByRecipe


@dataclass(frozen=True, kw_only=True)
class Train(ByRecipe):
    """Trains one architecture, derived or drawn by hand."""

    kind: ClassVar[str] = "train"
    run: Run = Run()
    data: Data = Data()
    network: NetworkChoice = NetworkChoice()
    recipe: Recipe = Recipe()
    threads: Threads = Threads()
    how: HowItRuns = HowItRuns()


def main(command: Train) -> None:
    """Trains and says where the result is."""
    architecture, network = command.network.make(), command.network

    from cmnas_tf.training.train import train_network

    model = train_network(
        command.data.load_joined(command.recipe.size.grey16_range),
        architecture,
        command.recipe,
        run_dir=command.run.run_dir,
        seed=command.run.seed,
        threads=command.threads.threads,
        width=network.width,
        last_stride=network.last_stride,
        parts=network.parts,
        **command.how.arguments(),
    )
    print(f"checkpoints in {model.checkpoint.path.parent}")
