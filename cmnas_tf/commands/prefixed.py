"""A component of a command whose flags have a prefix, such as ``--search.epochs``."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from cmnas_tf.options import Option, Options, behind, errors_behind


class Prefixed(Options):
    """Base of a part that holds a component under a prefix; made by :func:`prefixed`.

    Attributes:
      prefix: of its options, without the dot.
      component: the class.
      made: the component.
    """

    prefix: ClassVar[str]
    component: ClassVar[type[Options]]

    def __init__(self, made: Options | None = None):
        self.made: Any = made if made is not None else self.component()

    @classmethod
    def _named(cls, options: list[Option]) -> list[Option]:
        known = cls.component.options()
        return [
            replace(
                option,
                name=f"{cls.prefix}.{option.name}",
                help=behind(cls.prefix, option.help, known),
                old_names=(),
            )
            for option in options
        ]

    @classmethod
    def groups(cls) -> list[tuple[str, list[Option]]]:
        """Those of the component."""
        return [
            (f"{title} ({cls.prefix})", cls._named(options))
            for title, options in cls.component.groups()
        ]

    @classmethod
    def options(cls) -> list[Option]:
        """Those of the component, each behind the prefix."""
        return cls._named(cls.component.options())

    @classmethod
    def of_values(cls, values: Mapping[str, Any]) -> "Prefixed":
        """See :class:`Options`."""
        own = f"{cls.prefix}."
        given = {n.removeprefix(own): v for n, v in values.items() if n.startswith(own)}
        with errors_behind(cls.prefix, cls.component.options()):
            return cls(cls.component.of_values(given))

    def with_values(self, **changes: Any) -> "Prefixed":
        """See :class:`Options`."""
        own = {name.removeprefix(f"{self.prefix}."): value for name, value in changes.items()}
        return type(self)(self.made.with_values(**own))

    def values(self) -> dict[str, Any]:
        """See :class:`Options`."""
        return {f"{self.prefix}.{name}": value for name, value in self.made.values().items()}


def prefixed(name: str, component: type[Options]) -> Prefixed:
    """A part that holds a component with default values under a prefix."""
    members = {"prefix": name, "component": component}
    return type(f"Prefixed{component.__name__}", (Prefixed,), members)()
