"""``python -m benchmarks.logit_pull``: what pulls at the logits of a search, by loss and stage.

At every checkpoint that a search kept (``--keep_checkpoints=100``): the gradient of each weighted
term of the architecture loss for the logits, separate minus shared, with the weights of that moment
and three kinds of statistics in the batch norms:

- stored: the running statistics that the search itself used at that moment;
- fresh: running statistics taken anew from twenty batches by the same weights;
- batch: those of the very batch.

A negative number pulls towards separate. Beside them stands what all embeddings have in common, the
length of the mean of the L2-normalised ones: at 1 they all point the same way. Prints a table and
writes JSON with standard errors over batches.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from cmnas_tf.data import load_dataset
from cmnas_tf.data.pipeline import Share
from cmnas_tf.data.split import split_train
from cmnas_tf.devices.devices import Devices
from cmnas_tf.devices.distribution import make_strategy
from cmnas_tf.files import write_json
from cmnas_tf.layers.batch_norm import running_statistics_kept
from cmnas_tf.modality import Rows
from cmnas_tf.runs.checkpoints import read
from cmnas_tf.runs.run_folder import RunFolder
from cmnas_tf.search_spaces import NormSpace
from cmnas_tf.searching import Darts
from cmnas_tf.tables import table
from cmnas_tf.training.inputs import TrainingImages

KINDS = ("stored", "fresh", "batch")
FRESH_BATCHES, MOMENTUM = 20, 0.9
# Streams of random batches that no search draws from.
GRADIENT_STREAM, STATISTICS_STREAM = 71, 72


class Pull:
    """The supernet of a search, and batches to differentiate it by."""

    def __init__(self, run: RunFolder, data_dir: str, batches: int):
        recorded = json.loads((run.path / "run.json").read_text(encoding="utf-8"))["settings"]

        def own(component: Any) -> Any:
            names = {option.name for option in component.options()}
            return component.of_values({n: v for n, v in recorded.items() if n in names})

        space, darts, seed = own(NormSpace), own(Darts), recorded["seed"]
        dataset = load_dataset(recorded["dataset"], data_dir, recorded["trial"])
        images = TrainingImages(dataset, darts, seed)
        split = split_train(dataset.train, darts.split, seed)
        strategy = make_strategy(Devices(strategy="one_device"))
        bilevel, _ = darts.begin(space, len(images.pids), strategy, seed)
        self.network = bilevel.network
        self.objective = darts.architecture_objective
        self.weights = {name: w for name, w in self.objective.weights.items() if w}
        self.images_per_identity = bilevel.images_per_identity
        logits = space.logits(self.network)
        self.variables = list(logits.values())
        self.stages: dict[str, list[int]] = {}
        for place, site in enumerate(logits):
            self.stages.setdefault(site.split(".")[0], []).append(place)
        self.for_gradients, self.for_statistics = (
            list(images.batches(images.sampler(part, stream), 0, count, Share()))
            for part, stream, count in (
                (split.architecture, GRADIENT_STREAM, batches),
                (split.weights, STATISTICS_STREAM, FRESH_BATCHES),
            )
        )

    def at(self, checkpoint: Path) -> dict[str, Any]:
        """Logits and gradients by stage at a checkpoint."""
        state = read(checkpoint)
        state.restore({"network": self.network.get_weight_paths()})
        leanings = np.array([v.numpy()[0] - v.numpy()[1] for v in self.variables])
        found: dict[str, Any] = {"step": state.step, "logits": self._by_stage(leanings, np.mean)}
        for kind in KINDS:
            if kind == "fresh":
                self._take_statistics_anew()
            found[kind] = self._pull(training=kind == "batch")
        return found

    def _by_stage(self, values: np.ndarray, reduce: Any) -> dict[str, float]:
        return {stage: float(reduce(values[places])) for stage, places in self.stages.items()}

    def _take_statistics_anew(self) -> None:
        named = self.network.get_weight_paths().items()
        moving = [v for path, v in named if path.split(".")[-1].startswith("moving_")]
        for variable in moving:
            variable.assign(tf.zeros_like(variable))
        for batch in self.for_statistics:
            self._move(batch.images)
        for variable in moving:
            variable.assign(variable / (1 - MOMENTUM ** len(self.for_statistics)))

    @tf.function(autograph=False)
    def _move(self, images: dict[str, tf.Tensor]) -> None:
        self.network(images, training=True)

    def _pull(self, training: bool) -> dict[str, Any]:
        losses, gradients = [], []
        for batch in self.for_gradients:
            terms, of_terms = self._gradients(batch.images, batch.labels, training)
            losses.append({name: float(value) for name, value in terms.items()})
            gradients.append({name: value.numpy() for name, value in of_terms.items()})
        common = float(np.mean([found["common"] for found in losses]))
        pulls: dict[str, Any] = {"common": common}
        for name, weight in self.weights.items():
            each = weight * np.stack([found[name] for found in gradients])  # [batches, sites]
            error = each.std(axis=0, ddof=1) / len(each) ** 0.5
            pulls[name] = {
                "loss": float(np.mean([found[name] for found in losses])),
                "pull": self._by_stage(each.mean(axis=0), np.sum),
                "standard_error": self._by_stage(error**2, lambda e: e.sum() ** 0.5),
            }
        return pulls

    @tf.function(autograph=False)
    def _gradients(self, images: dict[str, tf.Tensor], labels: tf.Tensor, training: bool) -> Any:
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(self.variables)
            rows = Rows({modality: pixels.shape[0] for modality, pixels in images.items()})
            with running_statistics_kept():
                outputs = self.network(images, training=training).by_modality(rows)
            terms = self.objective(outputs, labels, self.images_per_identity)
        pulls = {n: tf.stack(tape.gradient(terms[n], self.variables)) for n in self.weights}
        embeddings = tf.concat([each.embedding for each in outputs.values()], axis=0)
        common = tf.norm(tf.reduce_mean(tf.math.l2_normalize(embeddings, axis=1), axis=0))
        return {**terms, "common": common}, {
            n: pull[:, 0] - pull[:, 1] for n, pull in pulls.items()
        }


def main() -> None:
    """Measures every checkpoint of a search."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--run_dir", required=True, help="A search that kept its checkpoints.")
    flags.add_argument("--data_dir", required=True, help="What it was searched on.")
    flags.add_argument("--output", required=True, help="JSON file to write.")
    flags.add_argument("--batches", type=int, default=24, help="Batches to differentiate by.")
    flags.add_argument("--every", type=int, default=1, help="Take every so many-th checkpoint.")
    given = flags.parse_args()
    run = RunFolder(given.run_dir)
    pull = Pull(run, given.data_dir, given.batches)
    found = []
    for checkpoint in sorted(run.checkpoints().paths())[given.every - 1 :: given.every]:
        found.append(pull.at(checkpoint))
        write_json(given.output, found)
        rows = [[f"step {found[-1]['step']}, pull x 1000", "loss", *pull.stages]]
        rows.append(["logit", "", *(f"{x:.2f}" for x in found[-1]["logits"].values())])
        blank = [""] * len(pull.stages)
        for kind in KINDS:
            rows.append([f"common, {kind}", f"{found[-1][kind]['common']:.4f}", *blank])
        for name in pull.weights:
            for kind in KINDS:
                of = found[-1][kind][name]
                numbers = [f"{1000 * x:.2f}" for x in of["pull"].values()]
                rows.append([f"{name}, {kind}", f"{of['loss']:.4f}", *numbers])
        print(f"\n{table(rows)}", flush=True)


if __name__ == "__main__":
    main()
