"""Lists as data sets bring them: of images, a line "path label" for each, and of identities."""

import posixpath
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from cmnas_tf.errors import BadInput
from cmnas_tf.reading import read_bytes

T = TypeVar("T")

# What the words in the form of a path stand for.
_WORDS = {
    "<identity>": r"(?P<identity>\d+)",
    "<camera>": r"(?P<camera>\d+)",
    "<word>": r"[^/_]+",
    "<file>": r"[^/]+?",
}


def read_lists(
    root: Path, lists: Iterable[tuple[str, str, T]], tree: str
) -> Iterator[tuple[T, re.Match[str]]]:
    """Reads lists that belong together, such as one for each modality of a split.

    Args:
      lists: for each its file, the form that its paths have and what they have in common, for
        example ``("idx/train_vis.txt", "vis/<identity>/<word>_c<camera>_<file>", "visible")``.

    Yields:
      For every line what its list has in common, and a match with the groups ``path``, ``identity``
      and, where the form has it, ``camera``.

    Raises:
      BadInput: if a list is missing or empty, a line has another form, or in these lists an image
        stands twice, an identity has two labels or a label two identities.
    """
    label_of: dict[str, str] = {}
    identity_of: dict[str, str] = {}
    first_seen: dict[str, str] = {}
    for name, form, common in lists:
        file = root / name
        if not file.is_file():
            raise BadInput(f"{file} is missing, a list of images:\n{tree}")
        lines = read_bytes(file).decode("utf-8-sig", errors="replace").splitlines()
        if not any(map(str.strip, lines)):
            raise BadInput(f"{file} lists no image; get the file anew")
        path = re.sub("<[a-z]+>", lambda word: _WORDS[word[0]], form)
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            # Two ways of writing a path are one image; "./" is the usual one.
            line = posixpath.normpath(line)
            match = re.fullmatch(rf"(?P<path>{path})\s+(?P<label>\d+)\s*", line)
            if not match:
                raise BadInput(
                    f"{file}, line {number}, must read '{form} <label>'. Received: {line!r}"
                )
            here = f"{file}, line {number}"
            if here != (before := first_seen.setdefault(match["path"], here)):
                raise BadInput(
                    f"{here}, lists {match['path']} again, after {before}. Remove one of the lines"
                )
            identity, label = match["identity"], match["label"]
            known = identity_of.setdefault(label, identity)
            if (known, label_of.setdefault(identity, label)) != (identity, label):
                raise BadInput(
                    f"{file}, line {number}, gives identity {identity} the label {label}, but a "
                    f"line before gives identity {known} the label {label_of[known]}; an identity "
                    "has one label in a split. Get the lists anew"
                )
            yield common, match


def read_identities(file: Path) -> set[int]:
    """The identities that a text file lists, separated by commas.

    Raises:
      BadInput: it lists none, or something else.
    """
    content = read_bytes(file)
    try:
        pids = {int(word) for word in content.decode("utf-8-sig").replace(",", " ").split()}
    except ValueError as error:
        raise BadInput(f"{file} must hold identity numbers separated by commas: {error}") from error
    if not pids:
        raise BadInput(f"{file} lists no identity; get the file anew")
    return pids
