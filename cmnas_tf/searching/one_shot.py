"""One-shot search: a supernet trained along random paths, then evolution within it (Guo et al.,
"Single Path One-Shot Neural Architecture Search with Uniform Sampling", ECCV 2020)."""

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from cmnas_tf.architecture import Architecture
from cmnas_tf.errors import BadInput
from cmnas_tf.losses import Objective
from cmnas_tf.options import option
from cmnas_tf.searching.algorithm import ALGORITHMS, SearchAlgorithm, Task
from cmnas_tf.searching.darts import Darts
from cmnas_tf.searching.selection import SelectionChoice

if TYPE_CHECKING:
    from cmnas_tf.layers import Relaxation


class PathSelection(SelectionChoice):
    """What is kept of a supernet without logits."""

    selector = replace(SelectionChoice.selector, default="evolution")


@dataclass(frozen=True, kw_only=True)
class OneShot(SearchAlgorithm):
    """Trains one architecture a step, drawn at random, and then selects by fitness.

    Raises:
      BadInput: a selection that reads logits, of which there are none.
    """

    paths: str = option(
        "fair",
        "How a step's architecture is drawn: uniform (SPOS), or fair: in as many steps as there "
        "are candidates each is taken once (after FairNAS).",
        choices=("fair", "uniform"),
    )
    selection: SelectionChoice = PathSelection()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.selection.name in ("logits", "perturbation"):
            raise BadInput(
                f"selection={self.selection.name} reads logits, and algorithm=one_shot trains "
                "none; give selection=evolution or selection=stages."
            )

    def make_relaxation(self, seed: int) -> "Relaxation":
        """See :class:`SearchAlgorithm`."""
        from cmnas_tf.layers import Paths

        return Paths(seed, self.paths == "fair")

    def check(self, task: Task) -> None:
        """See :class:`SearchAlgorithm`."""
        super().check(task)
        self.selection.make().check(task.space, task.split)

    def search(self, task: Task) -> Architecture:
        """See :class:`SearchAlgorithm`: the bilevel search without the architecture's update."""
        return _AlongPaths.of(self).search(task)


@dataclass(frozen=True, kw_only=True)
class _AlongPaths(Darts):
    """The bilevel search of a :class:`OneShot`: what both have is the same."""

    one_shot: OneShot

    @classmethod
    def of(cls, one_shot: OneShot) -> "_AlongPaths":
        shared = {each.name for each in fields(Darts)} & {each.name for each in fields(OneShot)}
        given = {name: getattr(one_shot, name) for name in shared}
        return cls(**given, warmup_epochs=0, one_shot=one_shot)

    @property
    def architecture_objective(self) -> Objective:
        return self.objective  # of an update that never comes

    def make_relaxation(self, seed: int) -> "Relaxation":
        return self.one_shot.make_relaxation(seed)

    def updates_architecture(self, epoch: int) -> bool:
        return False


ALGORITHMS.register("one_shot", OneShot)
