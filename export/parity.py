"""Is the exported model the network that was trained? Both embed the same images."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from cmnas_tf.data.augment import normalize
from cmnas_tf.data.decode import decode, resize
from cmnas_tf.models import ReidNetwork
from cmnas_tf.models.specification import Specification
from export.serving_module import EMBEDDING, PIXELS, SIGNATURES


def compare(folder: Path, network: ReidNetwork, specification: Specification) -> dict[str, Any]:
    """Loads an exported model and compares it with the network, through every signature.

    The images are mosaics of random colours: a batch of 1 and one of 8 in the network's input
    size, and one of 3 in other sizes; files are JPEG, PNG and BMP.

    Args:
      folder: of the exported model.
      network: what it was made from.
      specification: of the network.

    Returns:
      ``max_abs_difference`` of any entry of the normalised embeddings, and ``cases`` with what was
      compared and each one's; JSON-ready unless the embeddings are not finite.
    """
    exported = tf.saved_model.load(str(folder))
    height, width = specification.height, specification.width
    cases = []
    for name, signature in SIGNATURES.items():
        for batch in _batches(height, width, signature.form):
            answer = exported.signatures[name](**{signature.form: tf.constant(batch)})[EMBEDDING]
            if signature.form == PIXELS:
                pixels = resize(batch, height, width)
            else:
                pixels = tf.stack([decode(encoded, height, width) for encoded in batch])
            embedding = network.embed(normalize(pixels), signature.modality).embedding.numpy()
            expected = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)  # [N, D]
            difference = float(np.abs(answer.numpy() - expected).max())
            cases.append(
                {"signature": name, "images": len(batch), "max_abs_difference": difference}
            )
    differences = [case["max_abs_difference"] for case in cases]
    return {"max_abs_difference": float(np.max(differences)), "cases": cases}


def _batches(height: int, width: int, form: str) -> Iterator[np.ndarray]:
    import cv2

    native, odd, large = (height, width), (height * 2 // 3 | 1, width * 5 // 3 | 1), (300, 200)
    extensions = itertools.cycle((".jpg", ".png", ".bmp"))
    for sizes in ([native], [native] * 8, [odd, native, large]):
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
