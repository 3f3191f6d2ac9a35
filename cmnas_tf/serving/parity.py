"""Is the exported model the network that was trained? Both embed the same images."""

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from cmnas_tf.data.augment import normalize
from cmnas_tf.data.decode import decode, resize
from cmnas_tf.models import ReidNetwork
from cmnas_tf.models.specification import Specification
from cmnas_tf.serving.gallery import Gallery
from cmnas_tf.serving.signatures import (
    CAMERA,
    EMBEDDING,
    IMAGE_BYTES,
    MODALITY,
    PIXELS,
    SCORES,
    K,
    Signature,
)

_MATCHES = 10


def compare(
    folder: Path,
    network: ReidNetwork,
    specification: Specification,
    signatures: Mapping[str, Signature],
    gallery: Gallery | None = None,
) -> dict[str, Any]:
    """Loads an exported model and compares it with the network, through every signature.

    The images are mosaics of random colours: batches of 1, 8 and 33 in the network's input size,
    and one of 3 in other sizes; files are JPEG, PNG and BMP. Where each image has its own modality,
    they take turns. JPEG files are compared with their pixels, too.

    Args:
      folder: of the exported model.
      network: what it was made from.
      specification: of the network.
      signatures: of the exported model.
      gallery: that it searches in; there, scores are compared.

    Returns:
      ``max_abs_difference`` of any entry of the normalised embeddings, and ``cases`` with what was
      compared and each one's; JSON-ready unless the embeddings are not finite.
    """
    exported = tf.saved_model.load(str(folder)).signatures
    height, width = specification.height, specification.width
    cases: list[dict[str, Any]] = []

    def add(name: str, images: int, against: str, found: np.ndarray, expected: np.ndarray) -> None:
        difference = float(np.abs(found - expected).max())
        case = {"signature": name, "images": images, "against": against}
        cases.append({**case, "max_abs_difference": difference})

    for name, signature in signatures.items():
        form = signature.inputs[0]
        for batch in _batches(height, width, form):
            own = (signature.modality,) if signature.modality else specification.modalities
            modalities = np.resize(own, len(batch))
            if form == PIXELS:
                pixels = resize(batch, height, width)
            else:
                pixels = tf.stack([decode(encoded, height, width) for encoded in batch])
            expected = _embed(network, pixels, modalities)
            given = {form: batch, MODALITY: modalities}
            answered = EMBEDDING
            if gallery is not None and K in signature.inputs:
                k = min(_MATCHES, len(gallery))
                given |= {CAMERA: np.full(len(batch), ""), K: np.full(len(batch), k, np.int32)}
                expected, answered = gallery.search(expected, k).scores, SCORES
            answer = exported[name](**{key: tf.constant(given[key]) for key in signature.inputs})
            found = answer[answered].numpy()
            add(name, len(batch), "network", found, expected)
            if form == IMAGE_BYTES and f"{name}_pixels" in signatures:
                of_pixels = exported[f"{name}_pixels"](**{PIXELS: pixels})[EMBEDDING].numpy()
                add(name, len(batch), f"{name}_pixels", found, of_pixels)
    differences = [case["max_abs_difference"] for case in cases]
    # Unlike max(), it does not pass over what is no number.
    return {"max_abs_difference": float(np.max(differences)), "cases": cases}


def _embed(network: ReidNetwork, pixels: tf.Tensor, modalities: np.ndarray) -> np.ndarray:
    """``pixels`` [N, height, width, 3] uint8, each of its modality -> [N, D], rows of norm 1."""
    embedding = np.empty((len(modalities), network.embedding_size), np.float32)
    for modality in set(modalities):
        rows = np.flatnonzero(modalities == modality)
        images = normalize(tf.gather(pixels, rows))
        embedding[rows] = network.embed(images, modality).embedding.numpy()
    return embedding / np.linalg.norm(embedding, axis=1, keepdims=True)


def _batches(height: int, width: int, form: str) -> Iterator[np.ndarray]:
    import cv2

    native, odd, large = (height, width), (height * 2 // 3 | 1, width * 5 // 3 | 1), (300, 200)
    extensions = itertools.cycle((".jpg", ".png", ".bmp"))
    for sizes in ([native], [native] * 8, [native] * 33, [odd, native, large]):
        random = np.random.default_rng(len(sizes))
        if form == PIXELS:
            yield np.stack([_mosaic(*sizes[0], random) for _ in sizes])
        else:
            images = [_mosaic(*size, random) for size in sizes]
            files = [cv2.imencode(next(extensions), image)[1].tobytes() for image in images]
            yield np.array(files, dtype=object)


def _mosaic(height: int, width: int, random: np.random.Generator) -> np.ndarray:
    """8 x 4 patches of random colours, [height, width, 3] uint8: images that differ much."""
    colours = random.integers(0, 256, (8, 4, 3), np.uint8)
    rows, columns = np.arange(height) * 8 // height, np.arange(width) * 4 // width
    return colours[rows[:, None], columns]
