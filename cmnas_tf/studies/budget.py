"""What a study costs, before it begins: its cells, their steps, and hours by measured steps."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cmnas_tf import settings
from cmnas_tf.data import LAYOUTS, load_dataset
from cmnas_tf.data.index import Count
from cmnas_tf.modality import MODALITIES
from cmnas_tf.studies.plan import Cell, Study

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


def steps_of(cells: Sequence[Cell], images: int) -> Steps:
    """The steps of all cells, finished ones too; those of an evaluation do not count.

    Args:
      cells: of a study.
      images: training images of the modality that has more; a search's weights see half of them.
    """
    search = train = 0.0
    for cell in cells:
        if cell.search is not None:
            schedule = cell.search.schedule
            factor = _SECOND_ORDER if schedule.order == "second" else 1.0
            search += factor * schedule.epochs * (images // 2 // cell.search.batch.rows + 1)
        train += cell.train.schedule.epochs * (images // cell.train.batch.rows + 1)
    return Steps(search, train)


def describe(study: Study) -> str:
    """All cells and how they stand; their steps, and with ``--measure_steps`` their hours here."""
    cells, queue = study.cells(), study.options.queue
    lines = [f"{cell.name:<26} {_state(cell)}" for cell in cells]
    searches = sum(cell.search is not None for cell in cells)
    lines.append(f"\n{len(cells)} cells: {searches} searches, {len(cells)} trainings")
    counts = _training_counts(study.options)
    if not counts:
        lines.append(
            f"the number of steps is known once there are images in --data_dir="
            f"{study.options.data.data_dir}"
        )
        return "\n".join(lines)
    steps = steps_of(cells, max(count.images for count in counts.values()))
    lines.append(f"about {steps.search:.0f} search steps and {steps.train:.0f} training steps")
    if queue.measure_steps:
        lines.append(_hours(study, steps, counts))
    else:
        lines.append("--measure_steps=20 measures how many hours they take on this machine")
    return "\n".join(lines)


def _hours(study: Study, steps: Steps, counts: Mapping[str, Count]) -> str:
    from cmnas_tf.studies.throughput import measure  # which starts TensorFlow

    queue, subject = study.options.queue, study.cells()[0]
    assert subject.search is not None
    identities = max(count.identities for count in counts.values())
    pace = measure(subject.search, subject.train, identities, tuple(counts), queue.measure_steps)
    hours = steps.hours(pace.search_seconds, pace.train_seconds)
    shared = f", {hours / queue.jobs:,.1f} with --jobs={queue.jobs} on as many"
    return (
        f"{hours:,.1f} hours of one {pace.device}{shared if queue.jobs > 1 else ''}: "
        f"{pace.search_seconds:.3g} s a search step and {pace.train_seconds:.3g} s a training "
        f"step, medians of {queue.measure_steps} on pixels that lay ready"
    )


def _state(cell: Cell) -> str:
    if cell.results() is not None:
        return "finished"
    failure = cell.failure()
    return f"failed: {failure['message']}" if failure else "to do"


def _training_counts(options: settings.Study) -> dict[str, Count]:
    """Training images by modality: as they lie there, or as published; none if not known."""
    data = options.data
    if Path(data.data_dir).is_dir():
        counts = load_dataset(data.dataset, data.data_dir, data.trial).counts()
    elif options.recipes.people:
        return {}
    else:
        counts = dict(LAYOUTS[data.dataset].published)
    return {m: counts[name] for m in MODALITIES if (name := f"train {m}") in counts}
