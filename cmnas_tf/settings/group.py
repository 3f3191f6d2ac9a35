"""How a setting is declared, checked and listed."""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

from cmnas_tf.errors import BadInput


def setting(
    default: Any,
    help: str,
    *,
    choices: tuple[Any, ...] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    shapes_result: bool = True,
    first_word: bool = False,
) -> Any:
    """A dataclass field that becomes a flag.

    Args:
      default: the default value; its type is the field's annotation.
      help: one sentence, with the unit.
      choices: the allowed values, where they can be listed.
      minimum: smallest allowed value, inclusive.
      maximum: largest allowed value, inclusive.
      shapes_result: whether another value could give another result. A run that is taken up again
        must have the same value of every such setting.
      first_word: whether the command's first word that is no flag gives it too.
    """
    metadata = {
        "help": help,
        "choices": choices,
        "minimum": minimum,
        "maximum": maximum,
        "shapes_result": shapes_result,
        "first_word": first_word,
    }
    return dataclasses.field(default=default, metadata=metadata)


class Group:
    """A group of settings; checks ranges and choices when it is made."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value, allowed = getattr(self, field.name), field.metadata
            numbers = value if isinstance(value, tuple) else (value,)
            if any(isinstance(n, float) and not math.isfinite(n) for n in numbers):
                raise BadInput(f"--{field.name}={value} must be finite.")
            if allowed["choices"] and value not in allowed["choices"]:
                words = ", ".join(repr(choice) for choice in allowed["choices"])
                raise BadInput(
                    f"--{field.name}={value!r} is not allowed; it must be one of {words}."
                )
            low, high = allowed["minimum"], allowed["maximum"]
            if (low is not None and value < low) or (high is not None and value > high):
                bounds = f"at least {low}" if high is None else f"between {low} and {high}"
                raise BadInput(f"--{field.name}={value} is out of range; it must be {bounds}.")


def groups(settings: Any) -> dict[str, type[Group]]:
    """The groups of a command's settings (class or instance), by name."""
    return {group.name: type(group.default) for group in dataclasses.fields(settings)}  # type: ignore[misc]


def fields(settings: Any) -> Iterator[tuple[str, dataclasses.Field]]:
    """``(group, field)`` of every setting of a command's settings (class or instance)."""
    for name, group in groups(settings).items():
        for field in dataclasses.fields(group):  # type: ignore[arg-type]
            yield name, field


def shaping_result(settings: Any) -> dict[str, Any]:
    """``{name: value}`` of the settings that another result would follow from, flat, JSON-ready."""
    return {
        field.name: _plain(getattr(getattr(settings, group), field.name))
        for group, field in fields(settings)
        if field.metadata["shapes_result"]
    }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
