"""The one walk through folders of images, for data sets, galleries and the client.

Nothing in a folder goes missing without a word: what is left out is remembered.
"""

import functools
import mimetypes
import os
import posixpath
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TypeVar

from cmnas_tf.data.findings import Finding, printable
from cmnas_tf.errors import BadInput

T = TypeVar("T")

# Of the formats that are decoded, in any case.
SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp")

# What systems leave in folders, besides names that begin with a dot.
_JUNK = ("thumbs.db", "desktop.ini", "__macosx", "@eadir")
_NOT_UTF8 = re.compile("[\udc80-\udcff]")


class Walk:
    """Finds the image files of folders, and remembers what is left out of them.

    Links are followed. Names that begin with a dot, and what systems leave in folders (such as
    ``Thumbs.db``), are no files here. All paths are text, with forward slashes.

    Attributes:
      root: the folder that paths start from.
      left_out: files that are not used and why, in the order in which they were found.
    """

    def __init__(self, root: str | os.PathLike[str]):
        self.root = Path(root)
        self.left_out: list[Finding] = []

    def leave_out(self, path: str, why: str) -> None:
        """Remembers that a file is not used."""
        self.left_out.append(Finding(path, f"left out; {why}"))

    def images(self, folder: str = "") -> list[str]:
        """The image files of a folder and its subfolders, sorted as ``pathlib`` sorts; none where
        there is no such folder.

        Raises:
          BadInput: a path is not UTF-8; or of the files of a folder that may be images, by Python's
            own table of suffixes, more than half are left out.
        """
        images, doubtful = [], []
        for path in self._files(folder):
            if path.lower().endswith(SUFFIXES):
                images.append(path)
                continue
            suffix = posixpath.splitext(path)[1].lower()
            kind = _kind(suffix)
            if kind in ("image", ""):
                doubtful.append(path)
            advice = ", save it as PNG" if kind == "image" else ""
            self.leave_out(path, f"{suffix or 'a name without suffix'} is not read{advice}")
        if odd := list(filter(_NOT_UTF8.search, (str(self.root), *images))):
            raise BadInput(
                f"{len(odd)} paths of images are not UTF-8, the first of them {printable(odd[0])}. "
                "Rename these files or folders."
            )
        if doubtful:
            self._require_mostly_images(folder, images, doubtful)
        return images

    def images_in(self, folders: Mapping[str, T]) -> Iterator[tuple[str, T]]:
        """The images right in some folders, each with what its folder stands for.

        Those elsewhere in the topmost folders on the way there are left out. Raises as
        :meth:`images` does.
        """
        for top in dict.fromkeys(folder.split("/")[0] for folder in folders):
            for path in self.images(top):
                folder = posixpath.dirname(path)
                if folder in folders:
                    yield path, folders[folder]
                else:
                    self.leave_out(path, "in a folder that the data set does not use")

    def unlisted(self, folders: Iterable[str], listed: Collection[str]) -> tuple[Finding, ...]:
        """What is left out of folders whose images are used if they are ``listed``."""
        for folder in folders:
            for path in self.images(folder):
                if path not in listed:
                    self.leave_out(path, "no list names it")
        return tuple(self.left_out)

    def _files(self, folder: str, above: tuple[Path, ...] = ()) -> Iterator[str]:
        """The files of a folder; ``above`` are it and the folders around it, without links."""
        here = self.root / folder
        if not here.is_dir():
            return
        above = above or (here.resolve(),)
        with os.scandir(here) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            if entry.name.startswith(".") or entry.name.lower() in _JUNK:
                continue
            path, is_link = posixpath.join(folder, entry.name), entry.is_symlink()
            target = Path(entry) if is_link else entry
            if not target.is_dir():
                if target.is_file() or not Path(entry).exists():  # a broken link is said when read
                    yield path
                else:
                    self.leave_out(path, "a pipe or a device")
                continue
            inner = Path(entry).resolve() if is_link else above[-1] / entry.name
            if is_link and any(place.is_relative_to(inner) for place in above):
                self.leave_out(path, "a link to a folder that it lies in")
            else:
                yield from self._files(path, (*above, inner))

    def _require_mostly_images(self, top: str, images: list[str], doubtful: list[str]) -> None:
        taken, left = (
            Counter(folder for path in paths for folder in PurePosixPath(path).parents)
            for paths in (images, doubtful)
        )
        for folder, count in sorted(left.items()):
            if count > taken[folder] and folder.is_relative_to(top):
                first = next(p for p in doubtful if PurePosixPath(p).is_relative_to(folder))
                raise BadInput(
                    f"{printable(str(self.root / folder))}: {count} of {count + taken[folder]} "
                    f"files are not read, the first of them {printable(first)}. Images are "
                    f"{', '.join(SUFFIXES)} files: save these as PNG, or take them away."
                )


@functools.cache
def _kind(suffix: str) -> str:
    """What files with a suffix hold: ``"image"``, ``"text"``, ...; empty where nobody knows."""
    known = mimetypes.MimeTypes().guess_type(f"file{suffix}", strict=False)[0] or ""
    return known.partition("/")[0]
