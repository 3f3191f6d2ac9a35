"""A model on a server, asked as if it were here."""

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from cmnas_tf.serving.call_error import CallError
from cmnas_tf.serving.client.retries import Retries
from cmnas_tf.serving.client.transport import Signature, Transport
from cmnas_tf.serving.gallery import Matches


class RemoteModel:
    """What the signatures of an exported model do, with retries.

    Args:
      transport: the way to the server.
      retries: when a call fails.
    """

    def __init__(self, transport: Transport, retries: Retries):
        self._transport = transport
        self._retries = retries

    @cached_property
    def signatures(self) -> dict[str, Signature]:
        """What the model can be asked; asked for once.

        Raises:
          CallError: as every call.
        """
        return self._retries.call(self._transport.signatures)

    def embed(self, images: Sequence[bytes], modalities: Sequence[str]) -> np.ndarray:
        """Embeddings [N, D] float32, rows of norm 1.

        Args:
          images: encoded files.
          modalities: of each image.

        Raises:
          CallError: a bad image, no such modality in the model, or the server is away.
        """
        inputs = {"image_bytes": _bytes(images)}
        of_one = f"embed_{modalities[0]}" if len(set(modalities)) == 1 else ""
        if of_one in self.signatures:
            return self._predict(of_one, inputs)["embedding"]
        return self._predict("embed", {**inputs, "modality": _texts(modalities)})["embedding"]

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
            "image_bytes": _bytes(images),
            "modality": _texts(modalities),
            "camera": _texts(cameras),
            "k": np.full(len(images), k, np.int32),
        }
        answer = self._predict("identify", inputs)
        return Matches(answer["ids"], answer["cameras"], answer["scores"])

    def _predict(self, name: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        signature = self.signatures.get(name)
        if signature is None:
            raise CallError(
                "FAILED_PRECONDITION",
                f"The model has no signature {name}; its signatures are "
                f"{', '.join(sorted(self.signatures))}.",
            )
        return self._retries.call(
            lambda seconds: self._transport.predict(name, signature, inputs, seconds)
        )


def _bytes(images: Sequence[bytes]) -> np.ndarray:
    return np.array(images, dtype=object)


def _texts(words: Sequence[str]) -> np.ndarray:
    return np.array([word.encode() for word in words], dtype=object)
