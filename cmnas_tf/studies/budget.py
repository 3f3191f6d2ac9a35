"""What a study costs, before it begins: its cells, their steps, and hours by measured steps."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cmnas_tf.data import LAYOUTS, load_dataset
from cmnas_tf.data.index import Count
from cmnas_tf.data.sampling import steps_per_epoch
from cmnas_tf.errors import BadInput
from cmnas_tf.modality import MODALITIES
from cmnas_tf.studies.plan import Study, StudyCell

# A step of the first order takes two gradients, one of the second order five.
_SECOND_ORDER = 5 / 2


class Steps(NamedTuple):
    """How many steps there are to do.

    Attributes:
      search: of searches; those of the second order count 2.5 times.
      train: of trainings.
    """

    search: float
    train: float

    def hours(self, search_seconds: float, train_seconds: float) -> float:
        """How long they take one after the other, by the seconds that a step of each takes."""
        return (self.search * search_seconds + self.train * train_seconds) / 3600


def steps_of(cells: Sequence[StudyCell], images: int) -> Steps:
    """The steps of all cells, finished ones too; those of an evaluation do not count.

    Args:
      cells: of a study.
      images: training images of the modality that has more; a search's weights see half of them.
    """
    search = train = 0.0
    for cell in cells:
        if cell.searching is not None:
            _, algorithm = cell.searching.make()
            second = getattr(algorithm, "order", "first") == "second"
            steps = algorithm.epochs * steps_per_epoch(images // 2, algorithm.sampling.rows)
            search += steps * (_SECOND_ORDER if second else 1.0)
        recipe = cell.training.recipe
        train += recipe.epochs * steps_per_epoch(images, recipe.sampling.rows)
    return Steps(search, train)


def describe(study: Study, people_follow: bool, measure_steps: int = 0, jobs: int = 1) -> str:
    """All cells and how they stand; their steps, and where they are measured their hours here.

    Args:
      people_follow: whether people are drawn where there are no images yet.
      measure_steps: steps to measure; 0 for none.
    """
    cells = study.cells()
    lines = [f"{cell.name:<26} {_state(cell)}" for cell in cells]
    searches = sum(cell.searching is not None for cell in cells)
    lines.append(f"\n{len(cells)} cells: {searches} searches, {len(cells)} trainings")
    counts = _training_counts(study, people_follow)
    if not counts:
        lines.append(
            f"the number of steps is known once there are images in data_dir={study.data.root}"
        )
        return "\n".join(lines)
    steps = steps_of(cells, max(count.images for count in counts.values()))
    lines.append(f"about {steps.search:.0f} search steps and {steps.train:.0f} training steps")
    if measure_steps:
        lines.append(_hours(study, steps, counts, measure_steps, jobs))
    else:
        lines.append("measure_steps=20 measures how many hours they take on this machine")
    return "\n".join(lines)


def _hours(
    study: Study, steps: Steps, counts: Mapping[str, Count], measure_steps: int, jobs: int
) -> str:
    from cmnas_tf.studies.throughput import measure  # which starts TensorFlow

    subject = study.cells()[0]
    if subject.searching is None:
        raise BadInput(
            f"`measure_steps` takes steps of the subject's search, and subject={subject.arm.name} "
            "does not search. Leave it out, or give another subject."
        )
    identities = max(count.identities for count in counts.values())
    pace = measure(subject.searching, subject.training, identities, tuple(counts), measure_steps)
    hours = steps.hours(pace.search_seconds, pace.train_seconds)
    shared = f", {hours / jobs:,.1f} with jobs={jobs} on as many"
    return (
        f"{hours:,.1f} hours of one {pace.device}{shared if jobs > 1 else ''}: "
        f"{pace.search_seconds:.3g} s a search step and {pace.train_seconds:.3g} s a training "
        f"step, medians of {measure_steps} on pixels that lay ready"
    )


def _state(cell: StudyCell) -> str:
    if cell.results() is not None:
        return "finished"
    failure = cell.failure()
    return f"failed: {failure['message']}" if failure else "to do"


def _training_counts(study: Study, people_follow: bool) -> dict[str, Count]:
    """Training images by modality: as they lie there, or as published; none if not known."""
    data = study.data
    if Path(data.root).is_dir():
        counts = load_dataset(data.layout, data.root, data.trial).counts()
    elif people_follow:
        return {}
    else:
        counts = dict(LAYOUTS[data.layout].published)
    return {m: counts[name] for m in MODALITIES if (name := f"train {m}") in counts}
