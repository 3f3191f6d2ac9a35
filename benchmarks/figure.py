"""A figure that follows from what was measured, and how good it must be."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """A figure that is reported.

    Attributes:
      value: how it follows from what was measured.
      wanted: how good it must be, if that is said.
      at_least: whether more is better.
      explained: where the time goes and what was tried, told where it is missed.
    """

    value: Callable[[Any], float | None]
    wanted: float | None = None
    at_least: bool = False
    explained: str = ""

    def missed(self, value: float | None) -> bool:
        """Whether it is not as good as wanted."""
        if self.wanted is None or value is None:
            return False
        return value < self.wanted if self.at_least else value > self.wanted

    def wish(self) -> str:
        """How good it must be, to read."""
        return "-" if self.wanted is None else f"{'>=' if self.at_least else '<='} {self.wanted:g}"

    def row(self, name: str, value: float | None) -> list[str]:
        """Of the table that is shown."""
        if value is None:
            return [name, "-", self.wish(), "unavailable"]
        return [name, f"{value:.3f}", self.wish(), self._verdict(value)]

    def _verdict(self, value: float) -> str:
        if self.wanted is None:
            return ""
        return "missed" if self.missed(value) else "reached"
