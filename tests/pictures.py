"""Pictures of both modalities, in no order, as a source of images."""

import numpy as np
from PIL import Image as Picture

from cmnas_tf.data.index import Image, Images
from cmnas_tf.data.pipeline import ImageSource

MODALITIES = ["infrared", "visible", "visible", "infrared", "visible", "visible", "visible"]


def seven_pictures(folder, shape, height, width):
    """Files ``0.png`` .. ``6.png`` of noise in a shape, read as pictures of height and width."""
    random = np.random.default_rng(0)
    rows = []
    for number, modality in enumerate(MODALITIES):
        Picture.fromarray(random.integers(0, 256, (*shape, 3), np.uint8)).save(
            folder / f"{number}.png"
        )
        rows.append(Image(f"{number}.png", number, 1, modality))
    return ImageSource(Images.of(rows), folder, height, width)
