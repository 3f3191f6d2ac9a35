"""A trained network in another program's format, and what it lost on the way."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from cmnas_tf import settings as settings_module
from cmnas_tf.data.augment import normalize
from cmnas_tf.data.index import Dataset, Images
from cmnas_tf.data.pipeline import ImageSource, naming_unreadable
from cmnas_tf.data.protocols import settings_of
from cmnas_tf.errors import BadInput
from cmnas_tf.evaluation.measure import measure
from cmnas_tf.files import replacing, write_json
from cmnas_tf.retrieval.embed import embed
from cmnas_tf.serving.serving_module import EMBEDDING, PIXELS, Encoder
from cmnas_tf.training.inputs import load_readable
from cmnas_tf.training.trained import Trained, load_trained

# One image [1, height, width, 3] uint8 -> its embedding [1, D] float32.
Embed = Callable[[np.ndarray], np.ndarray]
# Writes the file of a modality's function; the images are [n, height, width, 3] uint8.
Convert = Callable[[Any, np.ndarray, Path], Embed]


def convert_and_measure(
    options: settings_module.ExportOnnx, convert: Convert, suffix: str
) -> dict[str, Any]:
    """Writes a file for each modality, and measures them as ``cmnas_tf.evaluate`` measures.

    The folder holds ``visible.*`` and ``infrared.*``, which take one image of the network's input
    size and give its embedding of norm 1; ``architecture.json``; and ``measured.json``.

    Args:
      options: which network, where to, and what is measured on.
      convert: makes a file and what computes it.
      suffix: of the files.

    Returns:
      The content of ``measured.json``: ``before`` and ``after``, by setting of the protocol; the
      cosine between the embeddings before and after, ``mean`` and ``smallest``; bytes by file.

    Raises:
      BadInput: no such network or data, images of a modality it was not trained on, or the folder
        exists.
    """
    target, checkpoint = options.target, options.checkpoint
    folder = Path(target.export_dir)
    if not target.export_dir or folder.exists():
        raise BadInput(
            f"--export_dir={target.export_dir!r} is empty or exists; give the path of a new folder."
        )
    trained = load_trained(checkpoint.checkpoint, options.run.run_dir, checkpoint.weights)
    dataset, _ = load_readable(options.data, "test")
    unknown = set(dataset.test.modalities) - set(trained.specification.modalities)
    if unknown:
        raise BadInput(f"The network was not trained on {', '.join(unknown)} images.")
    before = embed(trained.network, _source(trained, dataset.test, dataset), batch=32)
    after = np.empty_like(before)
    encoder = Encoder(trained.network, trained.specification, frozen=True)
    with replacing(folder) as aside:
        aside.mkdir()
        for modality in trained.specification.modalities:
            function = _of_one_image(encoder, trained, modality)
            known = _pixels(trained, dataset, dataset.train, modality, target.calibration_images)
            embed_one = convert(function, np.concatenate(known), aside / f"{modality}{suffix}")
            rows = np.flatnonzero(dataset.test.modalities == modality)
            for row, pixels in zip(
                rows, _pixels(trained, dataset, dataset.test, modality), strict=True
            ):
                after[row] = embed_one(pixels)
        own = {name: getattr(options.protocol, name) for name in settings_of(dataset.layout)}
        # In eight bits a converted embedding's norm is only about 1.
        cosines = np.sum(before * after, axis=1) / np.linalg.norm(after, axis=1)
        measured = {
            "protocol": own,
            "before": {m.setting: m.values for m in measure(before, dataset, **own)},
            "after": {m.setting: m.values for m in measure(after, dataset, **own)},
            "cosine": {"mean": float(cosines.mean()), "smallest": float(cosines.min())},
            "bytes": {file.name: file.stat().st_size for file in sorted(aside.iterdir())},
        }
        trained.specification.architecture.save(aside / "architecture.json")
        write_json(aside / "measured.json", measured)
    return measured


def summary(measured: dict[str, Any]) -> str:
    """What was measured, in a few lines."""
    lines = [f"{name}: {size / 1e6:.2f} MB" for name, size in measured["bytes"].items()]
    cosine = measured["cosine"]
    lines.append(
        f"cosine to the network's embeddings: {cosine['mean']:.6f} on average, smallest "
        f"{cosine['smallest']:.6f}"
    )
    for setting, after in measured["after"].items():
        before = measured["before"][setting]
        changes = [
            f"{word} {100 * before[name]:.2f} -> {100 * after[name]:.2f}"
            for word, name in (("Rank-1", "rank1"), ("mAP", "mAP"))
        ]
        lines.append(f"{setting}: {', '.join(changes)}")
    return "\n".join(lines)


def _of_one_image(encoder: Encoder, trained: Trained, modality: str) -> Any:
    """From one image to its embedding, as a function of the fixed shape that converters want."""
    size = trained.specification.height, trained.specification.width

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([1, *size, 3], tf.uint8, PIXELS)])
    def embed_one(pixels):
        embedding = encoder(normalize(pixels), modality)
        return {EMBEDDING: tf.math.l2_normalize(embedding, axis=1)}

    return embed_one


def _source(trained: Trained, images: Images, dataset: Dataset) -> ImageSource:
    size = trained.specification
    return ImageSource(images, Path(dataset.root), size.height, size.width)


def _pixels(
    trained: Trained, dataset: Dataset, images: Images, modality: str, most: int | None = None
) -> list[np.ndarray]:
    """Images of a modality, [1, height, width, 3] uint8 each, evenly over the table."""
    part = images.of_modality(modality)
    if most is not None:
        part = part[np.unique(np.linspace(0, len(part) - 1, most).astype(int))]
    source = _source(trained, part, dataset)
    read = source.reader()
    with naming_unreadable(part, source.root):
        return [read(tf.constant(row)).numpy()[None] for row in range(len(part))]
