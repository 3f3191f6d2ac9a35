"""The batch that every step is timed on: 8 + 8 images of 256x128, 4 identities.

``BENCHMARK_BATCH=16x4x256x128`` in the environment makes it 64 + 64 images of 16 identities;
``BENCHMARK_BACKBONE=resnet18`` makes our networks smaller.
"""

import os

import numpy as np

SIZES, NETWORK = "BENCHMARK_BATCH", "BENCHMARK_BACKBONE"
IDENTITIES, IMAGES_PER_IDENTITY, HEIGHT, WIDTH = map(
    int, os.environ.get(SIZES, "4x2x256x128").split("x")
)
BACKBONE = os.environ.get(NETWORK, "resnet50")
IMAGES = 2 * IDENTITIES * IMAGES_PER_IDENTITY
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
