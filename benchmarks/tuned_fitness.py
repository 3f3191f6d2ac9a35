"""``python -m benchmarks.tuned_fitness``: what the weights of a supernet do to fitness.

All architectures of a supernet share weights that none of them had for itself, and those that the
weights suit best look fittest. Here each hand-drawn architecture has them for itself for some
epochs, from the last checkpoint of a finished search on, before its fitness is measured: with the
images, the batches and the objective of the search's weights, and a learning rate that falls to 0
along half a cosine. Prints a table and writes JSON.
"""

import argparse
import json
import math
from pathlib import Path

from cmnas_tf.architecture import Architecture
from cmnas_tf.data import load_dataset
from cmnas_tf.data.pipeline import Share
from cmnas_tf.data.split import split_train
from cmnas_tf.devices.devices import Devices
from cmnas_tf.devices.distribution import compiled_on, make_strategy
from cmnas_tf.files import write_json
from cmnas_tf.runs.how_it_runs import Checkpointing
from cmnas_tf.runs.run_folder import RunFolder
from cmnas_tf.search_spaces import SpaceChoice
from cmnas_tf.searching import AlgorithmChoice
from cmnas_tf.searching.algorithm import Task
from cmnas_tf.searching.fitness import SupernetFitness
from cmnas_tf.tables import table
from cmnas_tf.training.inputs import TrainingImages

RATE = 0.3  # where it begins, as a part of the search's


class Tuned:
    """The supernet of a search, whose weights can go on for one architecture alone."""

    def __init__(self, run: RunFolder, data_dir: str):
        recorded = json.loads((run.path / "run.json").read_text(encoding="utf-8"))["settings"]
        dataset = load_dataset(recorded["dataset"], data_dir, recorded["trial"])
        self.space = SpaceChoice.of_values(recorded).make()
        algorithm = AlgorithmChoice.of_values(recorded).make().for_modalities(dataset.modalities)
        images = TrainingImages(dataset, algorithm, recorded["seed"])
        split = split_train(dataset.train, algorithm.split, recorded["seed"])
        strategy = make_strategy(Devices(strategy="one_device"))
        self.bilevel, self.relaxation = algorithm.begin(
            self.space, len(images.pids), strategy, recorded["seed"]
        )
        nowhere, checkpointing = RunFolder(None), Checkpointing()
        self.task = Task(
            self.space, images, split, strategy, nowhere, {}, checkpointing, False, writes=False
        )
        self.checkpoint = run.newest()
        self.run = compiled_on(strategy, by_xla=False)
        self.fitness = SupernetFitness(self.task, self.bilevel.network)

    def __call__(self, architecture: Architecture, epochs: int) -> float:
        """The fitness, 0..1, after some epochs of its own."""
        assert self.checkpoint is not None
        self.checkpoint.restore(self.bilevel.state())
        self.space.select(self.bilevel.network, architecture)
        batches = self.task.weight_batches
        first, steps = self.checkpoint.step, epochs * batches.steps_per_epoch
        following = self.task.images.batches(batches, first, first + steps, Share())
        for done, batch in enumerate(following):
            factor = RATE * 0.5 * (1 + math.cos(math.pi * done / steps))
            self.bilevel.weight_optimizer.set_factor(factor)
            self.relaxation.prepare(first + done, 1.0)
            self.run(self.bilevel.update_weights, batch)
        self.fitness.measured.clear()
        return self.fitness(architecture).mean_ap


def main() -> None:
    """Measures every hand-drawn architecture after each number of epochs."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--run_dir", required=True, help="A finished search.")
    flags.add_argument("--data_dir", required=True, help="What it was searched on.")
    flags.add_argument("--output", required=True, help="JSON file to write.")
    flags.add_argument("--epochs", default="0,1,3", help="Of each architecture alone.")
    given = flags.parse_args()
    tuned, counts = Tuned(RunFolder(given.run_dir), given.data_dir), given.epochs.split(",")
    found: dict[str, dict[str, float]] = {}
    for name, architecture in tuned.space.hand_drawn().items():
        found[name] = {count: tuned(architecture, int(count)) for count in counts}
        write_json(Path(given.output), found)
    rows = [[name, *(f"{100 * value:.1f}" for value in of.values())] for name, of in found.items()]
    print(table([["fitness in percent after epochs of its own", *counts], *rows]))


if __name__ == "__main__":
    main()
