"""The options of every data set's test protocol, by which one of them is made."""

from collections.abc import Mapping
from typing import Any

from cmnas_tf.data import LAYOUTS
from cmnas_tf.data.protocols import Protocol
from cmnas_tf.errors import BadInput
from cmnas_tf.options import Option, Options


class ProtocolChoice(Options):
    """Who asks and who answers: the options of every data set's test protocol."""

    def __init__(self, given: Mapping[str, Any] | None = None):
        self._given = dict(given or {})

    def make(self, dataset: str) -> Protocol:
        """The protocol of a data set; options of other data sets are passed over."""
        return LAYOUTS[dataset].protocol.of_values(self._given)

    @classmethod
    def _own_options(cls) -> list[Option]:
        found: dict[str, Option] = {}
        for layout in LAYOUTS.values():
            for known in layout.protocol.options():
                if found.setdefault(known.name, known) != known:
                    raise BadInput(
                        f"The protocol of {layout.title} has an option {known.name!r} that another "
                        "data set's has otherwise; give it another name."
                    )
        return list(found.values())

    @classmethod
    def _parts(cls) -> dict[str, Any]:
        return {}

    @classmethod
    def of_values(cls, values: Mapping[str, Any]) -> "ProtocolChoice":
        """See :class:`Options`."""
        names = {known.name for known in cls._own_options()}
        given = {name: value for name, value in values.items() if name in names}
        for known in cls._own_options():
            if known.name in given:
                known.check(given[known.name])
        return cls(given)

    def with_values(self, **changes: Any) -> "ProtocolChoice":
        """See :class:`Options`."""
        return self.of_values({**self._given, **changes})

    def values(self) -> dict[str, Any]:
        """See :class:`Options`."""
        return {o.name: self._given.get(o.name, o.default) for o in self._own_options()}
