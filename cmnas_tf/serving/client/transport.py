"""What the ways of speaking to a server have in common."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np


class Signature(NamedTuple):
    """The names of what a signature takes and gives."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class Transport(Protocol):
    """A connection to one model on one server."""

    def signatures(self, seconds: float) -> dict[str, Signature]:
        """What the model can be asked, by name.

        Args:
          seconds: after which the call is given up.

        Raises:
          CallError: UNAVAILABLE, NOT_FOUND (the model), DEADLINE_EXCEEDED, ...
        """

    def predict(
        self,
        name: str,
        signature: Signature,
        inputs: Mapping[str, np.ndarray],
        seconds: float,
    ) -> dict[str, np.ndarray]:
        """Asks once.

        Args:
          name: of the signature.
          signature: as ``signatures`` describes it.
          inputs: by name; strings are object arrays of bytes.
          seconds: after which the call is given up.

        Returns:
          The outputs by name, strings as object arrays of str.

        Raises:
          CallError: the server refused, failed, or cannot be reached.
        """

    def close(self) -> None:
        """Ends the connection."""
