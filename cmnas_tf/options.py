"""How a component declares, checks and lists its options.

A *component* is a frozen dataclass beside the code that it configures, and what that code takes.
Its options are the fields made by :func:`option`; a field that holds another component brings that
one's options along. Seen from outside the options of a component are flat, each by its own name:
that is how a run is described, how flags are made, and how a study changes some of them.

Values marked [pub] and [code] are the authors' (paper, released code); the others are our choice.
"""

import contextlib
import dataclasses
import functools
import inspect
import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar, get_type_hints

from cmnas_tf.errors import BadInput, did_you_mean

C = TypeVar("C", bound="Options")

# How a message names an option: ``name=value``, or `name` between backquotes.
NAMED = re.compile(r"(?<!`)`(?P<quoted>[\w.]+)`|(?<![\w.-])(?P<assigned>[\w.]+)(?==)")


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


@dataclass(frozen=True)
class Option:
    """What there is to know of an option.

    Attributes:
      name: of the parameter.
      type: ``bool``, ``int``, ``float``, ``str`` or a tuple of these, ``tuple[str, ...]``.
      default: where nothing is said.
      help: one sentence, with the unit.
      choices: the allowed values besides the default, where they can be listed; a registry's are
        its names.
      minimum, maximum: smallest and largest allowed value, or number of a tuple, inclusive.
      affects_result: whether another value could give another result. A run is resumed only with
        the same value of every such option.
      required: whether nothing can be done without it.
      path: whether it names a file or a folder.
      advanced: whether most people never touch it.
      several: whether several values may be given, with commas between.
      positional: whether a command's first word that is no flag gives it too.
      recorded: from a value, or from what an earlier version recorded of it, to what is recorded
        of it and compared, JSON-ready: of a file its content, not its path.
      old_names: what it was called in earlier versions.
    """

    name: str
    type: Any
    default: Any
    help: str
    choices: Collection[Any] = ()
    minimum: float | None = None
    maximum: float | None = None
    affects_result: bool = True
    required: bool = False
    path: bool = False
    advanced: bool = False
    several: bool = False
    positional: bool = False
    recorded: Callable[[Any], Any] = _plain
    old_names: tuple[str, ...] = ()

    def check(self, value: Any) -> None:
        """Refuses a value that is not allowed.

        Raises:
          BadInput: it is not finite, out of range or none of the choices; the option is named.
        """
        numbers = value if isinstance(value, tuple | list) else (value,)  # a list: as recorded
        if any(isinstance(n, float) and not math.isfinite(n) for n in numbers):
            raise BadInput(f"{self.name}={value} must be finite.")
        each = value.split(",") if self.several else [value]
        if self.choices and not {*each} <= {*self.choices, self.default}:
            words = ", ".join(repr(choice) for choice in self.choices)
            raise BadInput(
                f"{self.name}={value!r} is not allowed; it must be one of {words}."
                f"{did_you_mean(value, map(str, self.choices))}"
            )
        low, high = self.minimum, self.maximum
        if any((low is not None and n < low) or (high is not None and n > high) for n in numbers):
            bounds = f"at least {low}" if high is None else f"between {low} and {high}"
            raise BadInput(f"{self.name}={value} is out of range; it must be {bounds}.")


class _Part(NamedTuple):
    """A component that another one has."""

    component: "type[Options]"  # its class
    # What stands before the names of its options there, such as ``"search."``; or nothing.
    prefix: str

    def groups(self) -> list[tuple[str, list[Option]]]:
        """Its groups as they are called there; behind a prefix they never had an old name."""
        groups = self.component.groups()
        if not self.prefix:
            return groups
        known = [option for _, group in groups for option in group]

        def named(option: Option) -> Option:
            name, help = f"{self.prefix}{option.name}", behind(self.prefix, option.help, known)
            return dataclasses.replace(option, name=name, help=help, old_names=())

        mark = self.prefix.removesuffix(".")
        return [(f"{title} ({mark})", list(map(named, group))) for title, group in groups]

    def own(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Of values by their names there those that may be its own, by their own names."""
        start = len(self.prefix)
        return {name[start:]: v for name, v in values.items() if name.startswith(self.prefix)}


def prefixed(prefix: str, component: C) -> C:
    """A dataclass field: a component whose options are called ``prefix.name`` from outside."""
    return dataclasses.field(default=component, metadata={"prefix": f"{prefix}."})


def option(default: Any, help: str, **details: Any) -> Any:
    """A dataclass field that is an option; the details are those of :class:`Option`."""
    if unknown := set(details) - {field.name for field in dataclasses.fields(Option)}:
        raise TypeError(f"An option has no {', '.join(sorted(unknown))}.")
    return dataclasses.field(default=default, metadata={"help": help, **details})


def advanced(default: Any, help: str, **details: Any) -> Any:
    """An :func:`option` that most people never touch."""
    return option(default, help, advanced=True, **details)


def path_option(help: str, **details: Any) -> Any:
    """An :func:`option` that names a file or a folder; by default none."""
    return option("", help, path=True, **details)


@functools.cache
def _declared(component: "type[Options]") -> tuple[Option, ...]:
    types = get_type_hints(component)
    return tuple(
        Option(
            **{
                "name": field.name,
                "type": types[field.name],
                "default": field.default,
                **field.metadata,
            }
        )
        for field in dataclasses.fields(component)  # type: ignore[arg-type]
        if "help" in field.metadata
    )


class Options:
    """Base of a component: a frozen dataclass that checks its options when it is made."""

    def __post_init__(self) -> None:
        for own in self._own_options():
            own.check(getattr(self, own.name))

    @classmethod
    def _own_options(cls) -> list[Option]:
        return list(_declared(cls))  # type: ignore[arg-type]

    @classmethod
    def _parts(cls) -> dict[str, _Part]:
        """By the field's name, the components that this one has."""
        return {
            field.name: _Part(type(field.default), field.metadata.get("prefix", ""))
            for field in dataclasses.fields(cls)  # type: ignore[arg-type]
            if isinstance(field.default, Options)
        }

    @classmethod
    def options(cls) -> list[Option]:
        """Its own options, then those of its parts."""
        return [option for _, group in cls.groups() for option in group]

    @classmethod
    def groups(cls) -> list[tuple[str, list[Option]]]:
        """The options by the component that they belong to, under its first line."""
        title = (inspect.getdoc(cls) or cls.__name__).partition("\n")[0]
        inner = [group for part in cls._parts().values() for group in part.groups()]
        own = cls._own_options()
        return [(title, own), *inner] if own else inner

    @classmethod
    def of_values(cls: type[C], values: Mapping[str, Any]) -> C:
        """The component with these values; names of others are passed over, defaults fill up."""
        given = values_of(cls._own_options(), values)
        for name, part in cls._parts().items():
            with errors_behind(part.prefix, part.component):
                given[name] = part.component.of_values(part.own(values))
        return cls(**given)

    def values(self) -> dict[str, Any]:
        """The value of every option, by name, flat."""
        found = {own.name: getattr(self, own.name) for own in self._own_options()}
        for field, part in self._parts().items():
            inner = getattr(self, field).values()
            found |= {f"{part.prefix}{name}": value for name, value in inner.items()}
        return found

    def with_values(self: C, **changes: Any) -> C:
        """The same component but for some options, named flat.

        Raises:
          BadInput: it has no such option, or a value is not allowed.
        """
        known = {own.name for own in self.options()}
        if unknown := [name for name in changes if name not in known]:
            raise BadInput(f"{type(self).__name__} has no option {', '.join(unknown)}.")
        new = values_of(self._own_options(), changes)
        for field, part in self._parts().items():
            if inner := values_of(part.component.options(), part.own(changes)):
                new[field] = getattr(self, field).with_values(**inner)
        return dataclasses.replace(self, **new)  # type: ignore[type-var]


def values_of(options: Iterable[Option], values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the values, by name, that are of these options."""
    names = {known.name for known in options}
    return {name: value for name, value in values.items() if name in names}


def described(components: Iterable[Options]) -> dict[str, Any]:
    """``{option: value}`` of all that another result could follow from, flat and JSON-ready."""
    return {
        known.name: known.recorded(values[known.name])
        for component in components
        for values in [component.values()]
        for known in component.options()
        if known.affects_result
    }


def behind(prefix: str, text: str, options: Iterable[Option]) -> str:
    """A text whose options are named behind a prefix, such as ``"search."``."""
    names = {known.name for known in options}

    def named(found: re.Match[str]) -> str:
        name = found["quoted"] or found["assigned"]
        return found[0].replace(name, f"{prefix}{name}") if name in names else found[0]

    return NAMED.sub(named, text)


@contextlib.contextmanager
def errors_behind(prefix: str, component: type[Options]) -> Iterator[None]:
    """A :class:`BadInput` of the block names the component's options :func:`behind` a prefix."""
    try:
        yield
    except BadInput as error:
        if not prefix:
            raise
        raise BadInput(behind(prefix, str(error), component.options())) from error
