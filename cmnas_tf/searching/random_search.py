"""Random search: train some architectures drawn at random, keep the best (Li and Talwalkar, UAI
2019). What any search has to be better than, at the same price."""

from dataclasses import dataclass, replace

from cmnas_tf.architecture import Architecture
from cmnas_tf.errors import BadInput
from cmnas_tf.files import write_json
from cmnas_tf.options import option
from cmnas_tf.reading import read_json
from cmnas_tf.runs.run_folder import RunFolder
from cmnas_tf.searching.algorithm import ALGORITHMS, SearchAlgorithm, Task


@dataclass(frozen=True, kw_only=True)
class RandomSearch(SearchAlgorithm):
    """Random search with the budget of another search.

    ``epochs`` are those of all candidates together, in gradient steps as many as a bilevel search
    takes: it takes two a step, so each candidate is trained for ``2 * epochs // candidates`` epochs
    on the weights' images. Their fitness is the retrieval of the architecture's images, by the
    weights of the last step.

    Raises:
      BadInput: too few epochs for so many candidates.
    """

    candidates: int = option(10, "Architectures that are drawn, trained and compared.", minimum=2)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.epochs_each < 1:
            raise BadInput(
                f"candidates={self.candidates} share epochs={self.epochs}, which leaves none to "
                f"each; give at most {2 * self.epochs} candidates, or more epochs."
            )

    @property
    def epochs_each(self) -> int:
        """Epochs that each candidate is trained for."""
        return 2 * self.epochs // self.candidates

    def search(self, task: Task) -> Architecture:
        """See :class:`SearchAlgorithm`; each candidate is a run of its own, and resumed as one."""
        scores: dict[str, float] = {}
        found: dict[str, Architecture] = {}
        for number in range(1, self.candidates + 1):
            name = f"candidate_{number:02d}"
            run = RunFolder(task.run.candidates / name)
            architecture = task.space.random(task.images.seed * 1000 + number)
            scores[name] = self._score(task, architecture, run)
            found[name] = architecture
        best = max(scores, key=scores.__getitem__)  # the first of equals
        return replace(found[best], provenance={"fitness": scores, "chosen": best, **task.origin})

    def _score(self, task: Task, architecture: Architecture, run: RunFolder) -> float:
        """The fitness of a candidate, measured once."""
        file = run.fitness
        if file.is_file():
            return float(read_json(file, float, "a fitness", "Remove it to measure it again."))

        from cmnas_tf.data.layouts import LAYOUTS
        from cmnas_tf.retrieval.fitness import fitness

        score = fitness(
            self._trained(task, architecture, run),
            task.images.source(task.split.architecture),
            LAYOUTS[task.images.dataset.layout].protocol.rule,
        ).mean_ap
        if task.writes:
            architecture.save(run.architecture)
            write_json(file, score)
        return score

    def _trained(self, task: Task, architecture: Architecture, run: RunFolder):
        from cmnas_tf.training.initial_weights import starting
        from cmnas_tf.training.trainer import Trainer

        trainer = Trainer.begin(
            self,
            task.strategy,
            task.specification(architecture),
            task.images.seed,
            start_from=starting(run, self.start.initial_weights, task.progress),
        )
        trainer.train(
            task.images,
            task.weight_batches,
            run,
            self.epochs_each,
            task.origin,
            task.checkpointing,
            task.progress,
        )
        return trainer.network


ALGORITHMS.register("random", RandomSearch)
