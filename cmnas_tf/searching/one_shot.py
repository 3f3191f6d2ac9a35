"""One-shot search: a supernet trained along random paths, then evolution within it (Guo et al.,
"Single Path One-Shot Neural Architecture Search with Uniform Sampling", ECCV 2020)."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cmnas_tf.errors import BadInput
from cmnas_tf.options import option
from cmnas_tf.searching.algorithm import ALGORITHMS
from cmnas_tf.searching.selection import SelectionChoice
from cmnas_tf.searching.supernet_search import SupernetSearch

if TYPE_CHECKING:
    from cmnas_tf.layers import Relaxation


class PathSelection(SelectionChoice):
    """What is kept of a supernet without logits."""

    selector = replace(SelectionChoice.selector, default="evolution")


@dataclass(frozen=True, kw_only=True)
class OneShot(SupernetSearch):
    """Trains one architecture a step, drawn at random, and then selects by fitness.

    It is the bilevel search without the architecture's update.

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


ALGORITHMS.register("one_shot", OneShot)
