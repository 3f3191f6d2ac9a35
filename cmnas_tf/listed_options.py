"""Components that list their options when asked, such as those of all entries of a registry."""

import inspect
from collections.abc import Mapping
from typing import Any, TypeVar

from cmnas_tf.options import Option, Options, values_of

L = TypeVar("L", bound="ListedOptions")


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
