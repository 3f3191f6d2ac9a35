"""What is found about files; where the same is said of many, one is named and all are counted."""

import re
from collections.abc import Iterable
from typing import NamedTuple


class Finding(NamedTuple):
    """What is said of a file, or of several that belong together."""

    where: str
    what: str


Said = str | Finding  # a sentence, or what becomes one


def sentences(found: Iterable[Said], every: bool = False) -> list[str]:
    """Findings in sentences, among others that are kept as they are.

    Args:
      every: whether each finding becomes a sentence. If not, those that say the same but for
        numbers become one.
    """
    alike: dict[object, list[Said]] = {}
    for number, one in enumerate(found):
        single = every or isinstance(one, str)
        alike.setdefault(number if single else re.sub(r"\b\d+\b", "0", one[1]), []).append(one)
    return [_sentence(first, len(others)) for first, *others in alike.values()]


def _sentence(one: Said, others: int) -> str:
    if isinstance(one, str):
        return one
    more = f" and {others:,} more" if others else ""
    return printable(f"{one.where}{more}: {one.what}")


def printable(path: str) -> str:
    """A path as it can be printed; bytes that are not UTF-8 become ``\\xNN``."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
