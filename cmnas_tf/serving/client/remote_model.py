"""A model on a server, asked as if it were here, and again when the server is away for a moment."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Protocol, TypeVar

import numpy as np

from cmnas_tf.serving.call_error import CallError
from cmnas_tf.serving.gallery import Matches

T = TypeVar("T")
Arrays = Mapping[str, np.ndarray]

WORTH_REPEATING = ("UNAVAILABLE", "RESOURCE_EXHAUSTED")
LONGEST_WAIT = 5.0  # seconds


class Transport(Protocol):
    """A connection to one model on one server, by gRPC or by REST.

    Every call raises a ``CallError`` when it is refused or fails, or after ``seconds``:
    UNAVAILABLE, NOT_FOUND (the model), DEADLINE_EXCEEDED, ...
    """

    def signatures(self, seconds: float) -> dict[str, list[str]]:
        """The names of what each signature takes, by the signature's; all that a server lists."""

    def predict(self, signature: str, inputs: Arrays, seconds: float) -> Arrays:
        """What a signature gives, by name; strings are object arrays, of bytes in, of str out."""

    def close(self) -> None:
        """Ends the connection."""


@dataclass
class Retries:
    """Exponential backoff with "full jitter", where a server has no room or is away.

    The wait before retry n = 0, 1, ... is uniform in [0, min(``LONGEST_WAIT``, first_wait 2^n)], so
    that clients that failed together do not come back together (M. Brooker, "Exponential Backoff
    And Jitter", AWS Architecture Blog, 2015).

    Args:
      times: how often a call is repeated at most.
      first_wait: longest wait before the first retry, in seconds.
      deadline: seconds that a call may take, its retries included.
      random: draws the waits.
    """

    times: int
    first_wait: float
    deadline: float
    random: np.random.Generator

    def call(self, attempt: Callable[[float], T]) -> T:
        """What ``attempt`` returns, called with the seconds that are left.

        Raises:
          CallError: of the last attempt.
        """
        end, retry = time.monotonic() + self.deadline, 0
        while True:
            try:
                return attempt(max(end - time.monotonic(), 0.001))
            except CallError as error:
                wait = self.random.uniform(0, min(LONGEST_WAIT, self.first_wait * 2**retry))
                late = time.monotonic() + wait >= end
                if error.code not in WORTH_REPEATING or retry == self.times or late:
                    raise
            time.sleep(wait)
            retry += 1


class RemoteModel:
    """What the signatures of an exported model do, with retries.

    Every call raises a ``CallError``: a bad image, no such modality in the model, or the server is
    away.

    Args:
      transport: the way to the server.
      retries: when a call fails.
    """

    def __init__(self, transport: Transport, retries: Retries):
        self._transport = transport
        self._retries = retries

    @cached_property
    def signatures(self) -> dict[str, list[str]]:
        """The names of what each signature takes, by the signature's; asked for once."""
        try:
            found = self._retries.call(self._transport.signatures)
        except CallError as error:
            if error.code == "INVALID_ARGUMENT":  # what a server calls a label that no version has
                raise CallError("NOT_FOUND", error.sentence) from error
            raise
        # TensorFlow Serving also lists what runs when a model is loaded.
        return {name: inputs for name, inputs in found.items() if not name.startswith("__")}

    def embed(self, images: Sequence[bytes], modalities: Sequence[str]) -> np.ndarray:
        """Embeddings [N, D] float32, rows of norm 1, of encoded files and the modality of each."""
        inputs = {"image_bytes": np.array(images, dtype=object)}
        name = f"embed_{modalities[0]}" if len(set(modalities)) == 1 else ""
        if name not in self.signatures:
            name, inputs["modality"] = "embed", _texts(modalities)
        answer = self._predict(name, inputs)
        return _output(answer, "embedding", np.float32, len(images))

    def identify(
        self, images: Sequence[bytes], modalities: Sequence[str], cameras: Sequence[str], k: int
    ) -> Matches:
        """The ``k`` best entries of the model's gallery for each image.

        Args:
          images: encoded files.
          modalities: of each image.
          cameras: whose gallery entries are left out for each image; "": none.
          k: how many.

        Raises:
          CallError: FAILED_PRECONDITION where the model has no gallery; otherwise as ``embed``.
        """
        inputs = {
            "image_bytes": np.array(images, dtype=object),
            "modality": _texts(modalities),
            "camera": _texts(cameras),
            "k": np.full(len(images), k, np.int32),
        }
        answer = self._predict("identify", inputs)
        kinds = {"ids": object, "cameras": object, "scores": np.float32}
        found = (_output(answer, name, kinds[name], len(images), k) for name in kinds)
        # Wider where a server joined it with a request of a larger k.
        return Matches(*(output[:, :k] for output in found))

    def _predict(self, name: str, inputs: Arrays) -> Arrays:
        if name not in self.signatures:
            raise CallError(
                "FAILED_PRECONDITION",
                f"The model has no signature {name}; its signatures are "
                f"{', '.join(sorted(self.signatures))}.",
            )
        return self._retries.call(partial(self._transport.predict, name, inputs))


def _output(answer: Arrays, name: str, kind: type, rows: int, columns: int = 1) -> np.ndarray:
    """An output, if it is texts or finite numbers in so many rows and at least so many columns."""
    found = answer.get(name, np.empty(0))
    wanted = (rows, max(columns, found.size // rows))
    finite = found.dtype == object or np.isfinite(found).all()
    if found.dtype != kind or found.shape != wanted or not finite:
        said = f"{found.dtype} of shape {found.shape}" if finite else "not finite"
        raise CallError(
            "DATA_LOSS", f"{name} must be {kind.__name__} of shape {wanted}, not {said}"
        )
    return found


def _texts(words: Sequence[str]) -> np.ndarray:
    return np.array([word.encode() for word in words], dtype=object)
