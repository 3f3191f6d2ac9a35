"""Registries: what the names of losses, data sets, backbones, spaces and algorithms stand for.

A registration carries everything that its kind needs, so that flags, choices, help, checks and
tables follow from it. Another package registers by calling ``register`` when it is imported; one
that is installed is imported by itself where it has an entry point of the group
``cmnas_tf.plugins``.
"""

import functools
import importlib.metadata
from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from cmnas_tf.errors import BadInput, did_you_mean

T = TypeVar("T")

PLUGINS = "cmnas_tf.plugins"  # the group of entry points


class Registry(Mapping[str, T], Generic[T]):
    """Entries by name, in the order of their registration.

    Attributes:
      entries: those registered so far.

    Args:
      kind: what they are, in the singular, for messages.
    """

    def __init__(self, kind: str):
        self.kind = kind
        self.entries: dict[str, T] = {}

    def register(self, name: str, entry: T) -> T:
        """Adds an entry; gives it back.

        Raises:
          BadInput: the name is no identifier, or another entry has it.
        """
        if not name.isidentifier():
            raise BadInput(f"The {self.kind} {name!r} cannot be registered: a name is a word.")
        if name in self.entries:
            raise BadInput(
                f"There is a {self.kind} {name!r} already ({self.entries[name]!r:.120}); register "
                "yours under another name."
            )
        self.entries[name] = entry
        return entry

    def unregister(self, name: str) -> None:
        """Takes an entry out again."""
        del self.entries[name]

    def __getitem__(self, name: str) -> T:
        """The entry of that name.

        Raises:
          BadInput: there is none; the names nearest to it are offered.
        """
        load_plugins()
        if name not in self.entries:
            raise BadInput(
                f"There is no {self.kind} {name!r}.{did_you_mean(name, self.entries)} It must be "
                f"one of {', '.join(self.entries)}."
            )
        return self.entries[name]

    def name_of(self, entry: T) -> str:
        """The name that an entry is registered with."""
        return next(name for name, known in self.items() if known is entry)

    def __contains__(self, name: object) -> bool:
        load_plugins()
        return name in self.entries

    def __iter__(self) -> Iterator[str]:
        load_plugins()
        return iter(list(self.entries))

    def __len__(self) -> int:
        load_plugins()
        return len(self.entries)


@functools.cache
def load_plugins() -> None:
    """Imports, once, what installed packages registered as entry points.

    Raises:
      BadInput: one of them cannot be imported.
    """
    for entry in importlib.metadata.entry_points(group=PLUGINS):
        try:
            entry.load()
        except Exception as error:  # whatever another package's module raises
            why = f"{type(error).__name__}: {error}".rstrip(".")
            raise BadInput(
                f"The plugin {entry.name!r} ({entry.value}) cannot be imported: {why}. Mend it, or "
                "uninstall its package."
            ) from error
