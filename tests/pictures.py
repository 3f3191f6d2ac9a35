"""Pictures of noise as a source of images."""

import numpy as np
from PIL import Image as Picture

from cmnas_tf.data.index import Image, Images
from cmnas_tf.data.pipeline import ImageSource


def write_pictures(folder, modalities, shape, height, width):
    """A source of files ``0.png``, ``1.png`` .., one of each modality in a list.

    Args:
      folder: to write into.
      modalities: of the pictures.
      shape: of the files, (height, width).
      height, width: in which they are read.
    """
    random = np.random.default_rng(0)
    rows = []
    for number, modality in enumerate(modalities):
        pixels = random.integers(0, 256, (*shape, 3), np.uint8)
        Picture.fromarray(pixels).save(folder / f"{number}.png")
        rows.append(Image(f"{number}.png", number, 1, modality))
    return ImageSource(Images.of(rows), folder, height, width)
