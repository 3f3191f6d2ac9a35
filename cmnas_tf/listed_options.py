"""Components that list their options when asked, and the choice of one of a registry."""

import inspect
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Generic, TypeVar

from cmnas_tf.errors import BadInput
from cmnas_tf.options import Option, Options, values_of
from cmnas_tf.registry import Registry

L = TypeVar("L", bound="ListedOptions")
T = TypeVar("T", bound=Options)
Chosen = TypeVar("Chosen", bound="OneOf")


class ListedOptions(Options):
    """Base of a component that is no dataclass: it overrides :meth:`options`, and keeps what it is
    given.

    Args:
      given: values by the option's name; the other options have their defaults.

    Raises:
      BadInput: a value is not allowed.
    """

    def __init__(self, **given: Any):
        self._given = given
        for known in self.options():
            if known.name in given:
                known.check(given[known.name])

    @classmethod
    def groups(cls) -> list[tuple[str, list[Option]]]:
        """All options under the first line of the class."""
        return [((inspect.getdoc(cls) or "").partition("\n")[0], cls.options())]

    @classmethod
    def of_values(cls: type[L], values: Mapping[str, Any]) -> L:
        """See :class:`Options`."""
        return cls(**values_of(cls.options(), values))

    def with_values(self: L, **changes: Any) -> L:
        """See :class:`Options`; what was not given still is not."""
        return type(self)(**{**self._given, **changes})

    def values(self) -> dict[str, Any]:
        """See :class:`Options`."""
        return {known.name: self._given.get(known.name, known.default) for known in self.options()}

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.values() == other.values()  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash(tuple(self.values().items()))

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self._given.items())
        return f"{type(self).__name__}({given})"


class OneOf(ListedOptions, Generic[T]):
    """Base of a component that makes one component of a registry.

    Its options are the one that names the entry, and those of all entries; given ones that the
    named entry does not have are refused.

    Attributes:
      selector: the option that names the entry.
    """

    registry: ClassVar[Registry[Any]]
    selector: ClassVar[Option]

    def __init__(self, **given: Any):
        super().__init__(**given)
        self.name = str(given.get(self.selector.name, self.selector.default))

    def make(self) -> T:
        """The component.

        Raises:
          BadInput: no such entry, an option that means nothing to it, or a value not allowed.
        """
        self.require_meaning([self.name])
        return self.registry[self.name].of_values(self._given)

    def require_meaning(self, entries: Collection[str]) -> None:
        """Raises BadInput if an option was given that none of these entries has."""
        known = {found.name for entry in entries for found in self.registry[entry].options()}
        known.add(self.selector.name)
        for name, value in self._given.items():
            if name not in known:
                raise BadInput(
                    f"{name}={value} means nothing to {self.selector.name}="
                    f"{' or '.join(entries)}. Leave one of the two out."
                )

    def of_entry(self: Chosen, name: str) -> Chosen:
        """The choice of that entry, of all that was given with what it has."""
        self._selector().check(name)
        given = values_of(self.registry[name].options(), self._given)
        return type(self)(**given, **{self.selector.name: name})

    def with_values(self: Chosen, **changes: Any) -> Chosen:
        """See :class:`Options`; another entry leaves out what it does not have."""
        other = changes.get(self.selector.name, self.name)
        kept = self if other == self.name else self.of_entry(other)
        return type(self)(**{**kept._given, **changes})

    @classmethod
    def _selector(cls) -> Option:
        return replace(cls.selector, choices=tuple(cls.registry))

    @classmethod
    def groups(cls) -> list[tuple[str, list[Option]]]:
        """The selector, then the groups of all entries, each option once."""
        found: dict[str, list[Option]] = {}
        seen: set[str] = set()
        for made in cls.registry.values():
            for title, options in made.groups():
                new = [option for option in options if option.name not in seen]
                found.setdefault(title, []).extend(new)
                seen.update(option.name for option in new)
        groups = [(title, options) for title, options in found.items() if options]
        return [(cls.__doc__ or "", [cls._selector()]), *groups]
