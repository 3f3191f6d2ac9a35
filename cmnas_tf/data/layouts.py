"""Data sets by name: how each lies on disk, is read and checked, and how it is tested."""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

from cmnas_tf.data.findings import sentences
from cmnas_tf.data.index import Count, Dataset
from cmnas_tf.data.protocols import Protocol
from cmnas_tf.data.store import holds_shards, layout_of_shards, open_store, read_shards
from cmnas_tf.errors import BadInput
from cmnas_tf.reading import MOST_BYTES
from cmnas_tf.registry import Registry

logger = logging.getLogger("cmnas_tf")


@dataclass(frozen=True)
class Layout:
    """A data set, and the way in which it lies on disk.

    Attributes:
      title: the data set's own name.
      load: reads the index of ``(root, trial)``.
      tree: how the folder looks, for people to read.
      marks: entries of the folder that tell it from other layouts, as glob patterns. A layout that
        has all marks of another and more is a special case of it.
      protocol: how it is tested.
      published: how large its parts are by its authors, as :meth:`Dataset.counts` names them; what
        they do not say is left out.
      trials: number of splits into training and test images that the data set comes with.
      companions: files that the test protocol needs beside the images, where there are any.
    """

    title: str
    load: Callable[[Path, int], Dataset]
    tree: str
    marks: tuple[str, ...]
    protocol: type[Protocol]
    published: Mapping[str, Count] = field(default_factory=dict)
    trials: int = 1
    companions: tuple[str, ...] = ()

    def missing_marks(self, root: Path, any_case: bool = False) -> list[str]:
        """The marks that the folder ``root`` does not have, or has in no case if ``any_case``."""
        return [
            mark for mark in self.marks if not any(root.glob(_any_case(mark) if any_case else mark))
        ]


def _any_case(mark: str) -> str:
    return re.sub("[a-zA-Z]", lambda letter: f"[{letter[0].lower()}{letter[0].upper()}]", mark)


LAYOUTS: Registry[Layout] = Registry("data set")


def register_dataset(name: str, layout: Layout) -> Layout:
    """Makes a data set known by its name, everywhere; gives it back.

    Raises:
      BadInput: the layout lacks its loader, marks or protocol, or the name is taken or no word.
    """
    of_protocol = isinstance(layout.protocol, type) and issubclass(layout.protocol, Protocol)
    present = {"load": callable(layout.load), "marks": layout.marks, "protocol": of_protocol}
    if lacking := [what for what, there in present.items() if not there]:
        raise BadInput(
            f"The data set {name!r} cannot be registered without {' and '.join(lacking)}; see "
            "cmnas_tf.data.Layout for what these are."
        )
    return LAYOUTS.register(name, layout)


def load_dataset(layout: str, root: str | PathLike[str], trial: int = 1) -> Dataset:
    """Reads the index of a data set and checks it; no image is decoded.

    What the loader noticed is logged, as information.

    Args:
      layout: the data set's name in ``LAYOUTS``, for example ``"sysu_mm01"``.
      root: the folder of the data set, or of its shards (see ``cmnas_tf.data.store``).
      trial: which of the data set's own splits, from 1 (RegDB: 1..10, the others: only 1).

    Returns:
      The data set. Its paths are relative to ``root`` (``images.csv`` may have absolute ones), with
      forward slashes, sorted. No identity is in both parts, and every training identity has an
      image of each modality that is trained on.

    Raises:
      BadInput: see :func:`read_dataset`; or images are missing, or the identities are not as above.
    """
    dataset = read_dataset(layout, root, trial)
    if faults := [*missing_files(dataset), *identity_faults(dataset)]:
        raise BadInput("\n".join(faults))
    for note in sentences(dataset.notes):
        logger.info(note)
    return dataset


def read_dataset(layout: str, root: str | PathLike[str], trial: int = 1) -> Dataset:
    """Reads the index of a data set as :func:`load_dataset` does, without checking it.

    Raises:
      BadInput: if the layout or trial does not exist, or the folder is missing, empty, of another
        layout, incomplete or contradicts itself; or its shards are damaged or of something else.
    """
    wanted, root = LAYOUTS[layout], Path(root)
    if not 1 <= trial <= wanted.trials:
        raise BadInput(
            f"{wanted.title} comes with {wanted.trials} split(s) into training and test images, so "
            f"trial must be in 1..{wanted.trials}. Received: {trial}"
        )
    if holds_shards(root):
        return read_shards(root, layout, trial)
    _require_marks(layout, root)
    return wanted.load(root, trial)


def layout_in(root: str | PathLike[str]) -> str | None:
    """The name of the layout that a folder, or its shards, look like, at least if the case of names
    does not count; None where it is like none.

    Raises:
      BadInput: the manifest of its shards is damaged.
    """
    root = Path(root)
    if holds_shards(root):
        return layout_of_shards(root)
    fitting = (
        name
        for any_case in (False, True)
        for name, known in _by_marks()
        if not known.missing_marks(root, any_case)
    )
    return next(fitting, None)


def _by_marks() -> list[tuple[str, Layout]]:
    """Special cases first: their folders have all marks of the more general layout too."""
    return sorted(LAYOUTS.items(), key=lambda item: -len(item[1].marks))


def _require_marks(layout: str, root: Path) -> None:
    """Raises BadInput if the folder is of another layout, or has nothing of this one."""
    wanted = LAYOUTS[layout]
    missing, above = wanted.missing_marks(root), root.absolute().parent
    for name, other in _by_marks():
        tops = {mark.partition("/")[0] for mark in other.marks}
        if root.absolute().name in tops and not other.missing_marks(above):
            raise BadInput(f"{root} is a part of {name}. Give the folder above, {above}")
    for mark in set(missing) - set(wanted.missing_marks(root, any_case=True)):
        found = next(root.glob(_any_case(mark)))
        raise BadInput(f"{root} has no {mark}, but {found.name} is there. Rename it to {mark}")
    for name, other in _by_marks():
        is_special_case = set(other.marks) > set(wanted.marks)
        if (missing or is_special_case) and not other.missing_marks(root):
            further = sorted(set(other.marks) - set(wanted.marks))
            why = f"has no {missing[0]}" if missing else f"has {further[0]}"
            raise BadInput(
                f"{root} looks like {name}, not like {layout}: it {why}. Read it as {name}"
            )
    if len(missing) == len(wanted.marks):
        inside = sorted(root.iterdir()) if root.is_dir() else []
        for folder in filter(Path.is_dir, inside):
            if deeper := layout_in(folder):
                raise BadInput(f"{folder} looks like {deeper}, not {root} itself. Give that folder")
        if not root.is_dir():
            wrong = "is a file" if root.exists() else "does not exist"
        else:
            wrong = "holds nothing of the data set" if inside else "is empty"
        others = [name for name in LAYOUTS if name != layout]
        raise BadInput(
            f"{root} {wrong}. It must be the folder of {wanted.title}, which looks like this:\n"
            f"{wanted.tree}\n"
            f"If it is of another layout, name that: {', '.join(others)}\n"
            "To try things without the data set: `write_dataset`"
        )


def missing_files(dataset: Dataset) -> Iterator[str]:
    """A sentence if listed images are not in the data set's folder, or too large to be read."""
    store = open_store(dataset.root)
    paths = (dataset.train + dataset.test).paths
    missing = [path for path in paths if path not in store]
    if missing:
        yield (
            f"{len(missing)} of {len(paths)} listed images are not in {dataset.root}, or have more "
            f"than {MOST_BYTES:,} bytes, the first of them {missing[0]}. Unpack the images again, "
            "or take these out of the lists"
        )


def identity_faults(dataset: Dataset) -> Iterator[str]:
    """A sentence for each reason why the listed identities cannot be trained on and tested."""
    train, test = (set(part.pids.tolist()) for part in (dataset.train, dataset.test))
    if both := train & test:
        advice = "Take them out of one of the lists"
        if not dataset.names and max(min(train), min(test)) < 2 and 2 * len(both) > len(test):
            advice = (
                "People to test with seem to be numbered from the start again; number them from "
                f"{max(train) + 1} on"
            )
        yield (
            f"{len(both)} identities of {dataset.root} are for training and for testing, the first "
            f"of them {dataset.people(both)[:10]}: a test would be unfair. {advice}"
        )
    for modality in dataset.modalities:
        without = train - set(dataset.train.of_modality(modality).pids.tolist())
        if without:
            yield (
                f"{len(without)} training identities of {dataset.root} have no {modality} image, "
                f"the first of them {dataset.people(without)[:10]}; training needs every one in "
                "every modality. Unpack the images again, or take these identities out of the lists"
            )
