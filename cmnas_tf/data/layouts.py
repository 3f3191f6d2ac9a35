"""Data sets by name: how each lies on disk, how large it is, and how it is tested."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cmnas_tf.data.index import Count, Dataset
from cmnas_tf.data.protocols import Protocol
from cmnas_tf.errors import BadInput
from cmnas_tf.registry import Registry


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

    def missing_marks(self, root: Path) -> list[str]:
        """The marks that the folder ``root`` does not have."""
        return [mark for mark in self.marks if not any(root.glob(mark))]


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
