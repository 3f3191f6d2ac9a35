"""What there is to do in a study: its cells, how they stand, and how many steps they take."""

from collections.abc import Sequence
from pathlib import Path

from cmnas_tf.data import LAYOUTS, load_dataset
from cmnas_tf.data.sampling import steps_per_epoch
from cmnas_tf.modality import MODALITIES
from cmnas_tf.studies.plan import Study, StudyCell, StudyData


def describe(study: Study, people_follow: bool) -> str:
    """All cells and how they stand, and their steps where it is known how many images there are.

    Args:
      people_follow: whether people are drawn where there are no images yet.
    """
    cells = study.cells()
    lines = [f"{cell.name:<26} {_state(cell)}" for cell in cells]
    searches = sum(cell.searching is not None for cell in cells)
    lines.append(f"\n{len(cells)} cells: {searches} searches, {len(cells)} trainings")
    if images := _training_images(study.data, people_follow):
        search, train = steps_of(cells, images)
        lines.append(f"about {search} search steps and {train} training steps")
    else:
        lines.append(
            f"the number of steps is known once there are images in data_dir={study.data.root}"
        )
    return "\n".join(lines)


def steps_of(cells: Sequence[StudyCell], images: int) -> tuple[int, int]:
    """The steps of all searches and of all trainings, finished ones too.

    Args:
      cells: of a study.
      images: training images of the modality that has more; a search's weights see half of them.
    """
    search = train = 0
    for cell in cells:
        if cell.searching is not None:
            _, algorithm = cell.searching.make()
            search += algorithm.epochs * steps_per_epoch(images // 2, algorithm.sampling.rows)
        recipe = cell.training.recipe
        train += recipe.epochs * steps_per_epoch(images, recipe.sampling.rows)
    return search, train


def _state(cell: StudyCell) -> str:
    if cell.results() is not None:
        return "finished"
    failure = cell.failure()
    return f"failed: {failure['message']}" if failure else "to do"


def _training_images(data: StudyData, people_follow: bool) -> int:
    """Of the modality that has more: as they lie there, or as published; 0 if that is not known."""
    if Path(data.root).is_dir():
        counts = load_dataset(data.layout, data.root, data.trial).counts()
    else:
        counts = {} if people_follow else dict(LAYOUTS[data.layout].published)
    found = (counts[name].images for m in MODALITIES if (name := f"train {m}") in counts)
    return max(found, default=0)
