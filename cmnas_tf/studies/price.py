"""What a study costs, before it begins: its cells, their steps, and hours from measured steps."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cmnas_tf import settings
from cmnas_tf.data import LAYOUTS, load_dataset
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
        """How long they take one after the other, from the measured seconds of a step of each."""
        return (self.search * search_seconds + self.train * train_seconds) / 3600


def steps_of(cells: Sequence[Cell], images: int) -> Steps:
    """The steps of all cells; the evaluations and what has been done before do not count.

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
    """All cells and how they stand; the steps, and with measured seconds of a step the hours."""
    cells, queue = study.cells(), study.options.queue
    lines = [f"{cell.name:<26} {_state(cell)}" for cell in cells]
    searches = sum(cell.search is not None for cell in cells)
    lines.append(f"\n{len(cells)} cells: {searches} searches, {len(cells)} trainings")
    images = _images(study.options)
    if images is None:
        lines.append(
            f"the number of steps is known once there are images in --data_dir="
            f"{study.options.data.data_dir}"
        )
        return "\n".join(lines)
    steps = steps_of(cells, images)
    lines.append(f"about {steps.search:.0f} search steps and {steps.train:.0f} training steps")
    if queue.search_step_seconds and queue.train_step_seconds:
        hours = steps.hours(queue.search_step_seconds, queue.train_step_seconds)
        lines.append(
            f"{hours:.1f} hours of one device, at {queue.search_step_seconds} s a search step and "
            f"{queue.train_step_seconds} s a training step; {hours / queue.jobs:.1f} with "
            f"--jobs={queue.jobs} on as many"
        )
    else:
        lines.append("for hours give --search_step_seconds and --train_step_seconds as measured")
    return "\n".join(lines)


def _state(cell: Cell) -> str:
    if cell.results() is not None:
        return "finished"
    failure = cell.failure()
    return f"failed: {failure['message']}" if failure else "to do"


def _images(options: settings.Study) -> int | None:
    """Training images of the modality that has more: as they lie there, or as published."""
    data = options.data
    if Path(data.data_dir).is_dir():
        counts = load_dataset(data.dataset, data.data_dir, data.trial).counts()
    elif options.recipes.people:
        return None
    else:
        counts = dict(LAYOUTS[data.dataset].published)
    found = [counts[name].images for m in MODALITIES if (name := f"train {m}") in counts]
    return max(found, default=None)
