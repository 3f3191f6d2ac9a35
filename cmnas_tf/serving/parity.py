"""Is the exported model the network that was trained? Both embed the same images."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import cv2
import numpy as np
import tensorflow as tf

from cmnas_tf.data.decode import decode
from cmnas_tf.serving.gallery import Gallery
from cmnas_tf.serving.signatures import Signature
from cmnas_tf.training.trained import TrainedNetwork

_MATCHES = 10


def compare(
    exported: Mapping[str, Callable[..., Mapping[str, tf.Tensor]]],
    model: TrainedNetwork,
    signatures: Mapping[str, Signature],
    gallery: Gallery | None = None,
) -> dict[str, Any]:
    """Compares an exported model with the network, through every signature.

    The images are mosaics of random colours: batches of 1, 8 and 33 in the network's input size,
    and one of 3 in other sizes; files are JPEG, PNG and BMP. Where each image has its own modality,
    they take turns. JPEG files are compared with their pixels, too.

    Args:
      exported, signatures: functions of the loaded model, and what they take.
      model: what it was made from.
      gallery: that it searches in; there, scores are compared.

    Returns:
      ``max_abs_difference`` of any entry of the normalised embeddings, and ``cases`` with what was
      compared and each one's; JSON-ready unless the embeddings are not finite.
    """
    size = model.specification.height, model.specification.width
    cases: list[dict[str, Any]] = []
    for name, signature in signatures.items():
        form = signature.inputs[0]
        for batch in _batches(*size, form):
            own = (signature.modality,) if signature.modality else model.specification.modalities
            modalities = np.resize(own, len(batch))
            pixels = batch
            if form == "image_bytes":
                pixels = np.stack([decode(encoded, *size) for encoded in batch])
            expected = np.empty((len(batch), model.embedding_size), np.float32)
            for modality in set(modalities):
                rows = modalities == modality
                expected[rows] = model.embed_images(pixels[rows], modality)
            given = {form: batch, "modality": modalities}
            answered = "embedding"
            if gallery is not None and "k" in signature.inputs:
                k = min(_MATCHES, len(gallery))
                given |= {"camera": np.full(len(batch), ""), "k": np.full(len(batch), k, np.int32)}
                expected, answered = gallery.search(expected, k).scores, "scores"
            answer = exported[name](**{key: tf.constant(given[key]) for key in signature.inputs})
            wanted = {"network": expected}
            if form == "image_bytes" and (of_pixels := exported.get(f"{name}_pixels")):
                wanted[f"{name}_pixels"] = of_pixels(pixels=pixels)["embedding"].numpy()
            for against, numbers in wanted.items():
                difference = float(np.abs(answer[answered].numpy() - numbers).max())
                case = {"signature": name, "images": len(batch), "against": against}
                cases.append({**case, "max_abs_difference": difference})
    differences = [case["max_abs_difference"] for case in cases]
    # Unlike max(), it does not pass over what is no number.
    return {"max_abs_difference": float(np.max(differences)), "cases": cases}


def _batches(height: int, width: int, form: str) -> Iterator[np.ndarray]:
    native, odd, large = (height, width), (height * 2 // 3 | 1, width * 5 // 3 | 1), (300, 200)
    extensions = itertools.cycle((".jpg", ".png", ".bmp"))
    for sizes in ([native], [native] * 8, [native] * 33, [odd, native, large]):
        random = np.random.default_rng(len(sizes))
        if form == "pixels":
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
