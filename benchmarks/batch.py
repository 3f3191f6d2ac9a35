"""The batch that every step is timed on: 8 + 8 images of 256x128, 4 identities."""

import numpy as np

IDENTITIES, IMAGES_PER_IDENTITY = 4, 2
HEIGHT, WIDTH = 256, 128
CLASSES = 395  # of SYSU-MM01


def images() -> dict[str, np.ndarray]:
    """Normalised images of each modality, [8, 256, 128, 3] float32."""
    random = np.random.default_rng(0)
    shape = (IDENTITIES * IMAGES_PER_IDENTITY, HEIGHT, WIDTH, 3)
    return {
        modality: random.standard_normal(shape, np.float32) for modality in ("visible", "infrared")
    }


def labels() -> np.ndarray:
    """[8] int32."""
    return np.repeat(np.arange(IDENTITIES, dtype=np.int32), IMAGES_PER_IDENTITY)
