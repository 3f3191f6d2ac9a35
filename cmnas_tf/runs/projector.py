"""What TensorBoard's projector shows of a run: embeddings, and of each a thumbnail and a few words.

It looks for new ones where ``checkpoint`` names another TensorFlow checkpoint than before, and then
for a tensor by its name: so each evaluation's embeddings have their own names.
"""

import math
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

from cmnas_tf.data.index import Images
from cmnas_tf.errors import printable
from cmnas_tf.files import replacing, write_text, writing_by

_MOST = 2000  # images; our choice, as the thumbnails' size
_SIDE = 64  # pixels; it draws each as a square, in which a person stands
_CONFIG = """embeddings {{
  tensor_name: "{name}" metadata_path: "projector/metadata.tsv"
  sprite {{ image_path: "projector/sprite.png" single_image_dim: {side} single_image_dim: {side} }}
}}
"""


def write_projector(
    folder: Path,
    name: str,
    embeddings: np.ndarray,
    images: Images,
    opened: Callable[[int], Image.Image],
) -> None:
    """Replaces the embeddings that the projector shows of a run.

    Args:
      folder: of TensorBoard's logs.
      name: of these embeddings, such as ``"epoch_0005"``.
      embeddings: [N, D] float32; of more than 2,000, some evenly among them are shown.
      images: N, what they are of; the same ones each time.
      opened: by its row an image.
    """
    rows = np.linspace(0, len(embeddings) - 1, min(len(embeddings), _MOST)).astype(int)
    aside = folder / "projector"
    sprite, saved = aside / "sprite.png", aside / name
    if not sprite.exists():
        write_text(aside / "metadata.tsv", _metadata(images[rows]))
        with replacing(sprite) as file:
            _sprite(map(opened, rows), len(rows)).save(file, format="PNG")
    with writing_by(tf.errors.OpError, saved), tf.device("CPU:0"):  # which writes aside, too
        tf.raw_ops.SaveV2(
            prefix=str(saved),
            tensor_names=[name],
            shape_and_slices=[""],
            tensors=[embeddings[rows]],
        )
    config = _CONFIG.format(name=name, side=_SIDE)
    write_text(folder / "projector_config.pbtxt", config)
    write_text(folder / "checkpoint", f'model_checkpoint_path: "projector/{name}"\n')
    for file in set(aside.iterdir()) - {*aside.glob(f"{name}.*"), *aside.glob("*.tsv"), sprite}:
        file.unlink()


def _metadata(images: Images) -> str:
    """A line for each image below those of the columns."""
    lines = [("person", "camera", "modality", "image")]
    lines += [(str(i.pid), str(i.camera), i.modality, i.path) for i in images]
    in_lines = ([printable(word).replace("\n", "\\n") for word in line] for line in lines)
    return "".join("\t".join(line) + "\n" for line in in_lines)


def _sprite(pictures: Iterable[Image.Image], count: int) -> Image.Image:
    """Thumbnails from left to right and from top to bottom, in a square number of places."""
    across = math.isqrt(count - 1) + 1
    sprite = Image.new("RGBA", (across * _SIDE, across * _SIDE))
    for place, picture in enumerate(pictures):
        down, right = divmod(place, across)
        person = picture.resize((_SIDE // 2, _SIDE))
        sprite.paste(person, (right * _SIDE + _SIDE // 4, down * _SIDE))
    return sprite
