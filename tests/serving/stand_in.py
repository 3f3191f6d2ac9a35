"""A model with the signatures of an exported one, made in a second: what servers and clients need.

An image becomes 8 numbers: the mean colours of its upper and of its lower half, 0..1, once as they
are and, for infrared, negated; 0.1; and 0.1 times the version. The row is divided by its norm. The
gallery holds people "p0", "p1", ..., one image each.
"""

import io
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

from cmnas_tf.data.decode import decode
from cmnas_tf.files import replacing
from cmnas_tf.serving.entries import Entry
from cmnas_tf.serving.gallery import Gallery

SIDE = 8  # pixels of every image that is made here
PEOPLE = 6  # in its gallery


def pictures(count: int, seed: int = 0) -> np.ndarray:
    """[count, 8, 8, 3] uint8: an upper and a lower half of one colour each."""
    colours = np.random.default_rng(seed).integers(0, 256, (count, 2, 1, 3), np.uint8)
    return np.repeat(np.repeat(colours, SIDE // 2, axis=1), SIDE, axis=2)


def encoded(pixels: np.ndarray, form: str = "png") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form)
    return stream.getvalue()


def embeddings(pixels: np.ndarray, modality: str, version: int = 1) -> np.ndarray:
    """The oracle: [N, 8, 8, 3] uint8 -> [N, 8]."""
    sign = -1 if modality == "infrared" else 1
    halves = [pixels[:, : SIDE // 2], pixels[:, SIDE // 2 :]]
    means = np.concatenate([half.mean(axis=(1, 2)) for half in halves], axis=1) / 255
    rows = np.concatenate([sign * means, np.tile([0.1, 0.1 * version], (len(pixels), 1))], axis=1)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class StandIn(tf.Module):
    def __init__(self, version: int, gallery: np.ndarray | None):
        super().__init__()
        # A variable, so that the model has a file of variables, as exported ones have.
        self._version = tf.Variable(float(version))
        self._gallery = None if gallery is None else tf.constant(gallery, tf.float32)

    def signatures(self) -> dict:
        strings = tf.TensorSpec([None], tf.string, "image_bytes")
        pixels = tf.TensorSpec([None, None, None, 3], tf.uint8, "pixels")
        modality = tf.TensorSpec([None], tf.string, "modality")
        camera = tf.TensorSpec([None], tf.string, "camera")
        k = tf.TensorSpec([None], tf.int32, "k")
        mixed = tf.function(self._mixed, input_signature=[strings, modality])
        found = {"embed": mixed, "serving_default": mixed}
        for name in ("visible", "infrared"):
            of_files = lambda image_bytes, name=name: self._of_files(image_bytes, name)  # noqa: E731
            of_pixels = lambda pixels, name=name: self._of_pixels(pixels, name)  # noqa: E731
            found[f"embed_{name}"] = tf.function(of_files, input_signature=[strings])
            found[f"embed_{name}_pixels"] = tf.function(of_pixels, input_signature=[pixels])
        if self._gallery is not None:
            specs = [strings, modality, camera, k]
            found["identify"] = tf.function(self._identify, input_signature=specs)
        return found

    def _of_pixels(self, pixels, modality):
        signs = tf.fill([tf.shape(pixels)[0]], -1.0 if modality == "infrared" else 1.0)
        return {"embedding": self._embed(pixels, signs)}

    def _of_files(self, image_bytes, modality):
        return self._of_pixels(self._decoded(image_bytes), modality)

    def _mixed(self, image_bytes, modality):
        known = tf.reduce_all((modality == "visible") | (modality == "infrared"))
        with tf.control_dependencies([tf.debugging.Assert(known, ["modality must be", modality])]):
            signs = tf.where(modality == "infrared", -1.0, 1.0)
        return {"embedding": self._embed(self._decoded(image_bytes), signs)}

    def _identify(self, image_bytes, modality, camera, k):
        scores = tf.matmul(
            self._mixed(image_bytes, modality)["embedding"], self._gallery, transpose_b=True
        )
        people = tf.range(tf.shape(self._gallery)[0])
        cameras = tf.strings.as_string(people)  # each person is on the camera of its number
        scores = tf.where(camera[:, None] == cameras, -np.inf, scores)
        check = tf.debugging.Assert(
            (k[0] > 0) & (k[0] <= len(self._gallery)), ["k must be 1 to the entries:", k[0]]
        )
        with tf.control_dependencies([check]):
            values, best = tf.math.top_k(scores, k[0])
        return {
            "ids": tf.strings.join(["p", tf.strings.as_string(best)]),
            "cameras": tf.gather(cameras, best),
            "scores": values,
        }

    def _embed(self, pixels, signs):
        halves = tf.split(tf.cast(pixels, tf.float32) / 255, 2, axis=1)
        means = tf.concat([tf.reduce_mean(half, axis=[1, 2]) for half in halves], axis=1)
        rest = tf.fill([tf.shape(pixels)[0], 1], 0.1)
        rows = tf.concat([signs[:, None] * means, rest, rest * self._version], axis=1)
        return tf.math.l2_normalize(rows, axis=1)

    def _decoded(self, image_bytes):
        check = tf.debugging.Assert(tf.size(image_bytes) > 0, ["there must be at least one image"])
        with tf.control_dependencies([check]):
            return tf.map_fn(
                lambda one: decode(one, SIDE, SIDE),
                image_bytes,
                fn_output_signature=tf.TensorSpec([SIDE, SIDE, 3], tf.uint8),
            )


def write(base: Path, version: int, people: np.ndarray | None = None) -> Path:
    """Writes ``base/version``, whole at once; ``people`` [G, 8, 8, 3] are its visible gallery."""
    gallery = None if people is None else embeddings(people, "visible", version)
    module = StandIn(version, gallery)
    with replacing(base / str(version)) as aside:
        tf.saved_model.save(module, str(aside), signatures=module.signatures())
    return base / str(version)


def write_gallery(folder: Path) -> Gallery:
    """The stand-in's gallery as the file ``gallery.npz``, and its images beside that."""
    folder.mkdir(exist_ok=True)
    people, entries = pictures(PEOPLE), []
    for number, image in enumerate(people):
        (folder / f"{number}.png").write_bytes(encoded(image))
        entries.append(Entry(f"{number}.png", f"p{number}", str(number), "visible"))
    found = Gallery.of("digest", entries, embeddings(people, "visible").astype(np.float32))
    found.save(folder / "gallery.npz")
    return found
