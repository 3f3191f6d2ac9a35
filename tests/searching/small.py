"""What the tests of searches search: a ResNet of one block, on a few synthetic people."""

import tensorflow as tf

from cmnas_tf.search_spaces import NormSpace
from cmnas_tf.searching.search import find_architecture

SPACE = NormSpace("resnet18", width=1 / 16)
# Options of every training of weights, for people of 32 x 16 pixels.
SMALL = {
    "image_height": 32,
    "image_width": 16,
    "identities_per_batch": 4,
    "images_per_identity": 2,
    "pad": 2,
    "learning_rate_warmup": 0.0,
}


def find(people, algorithm, run_dir=None, space=SPACE, seed=0, **how):
    """A search on one device; the CPU is cut up in the tests."""
    device = tf.distribute.OneDeviceStrategy("CPU:0")
    given = {"devices": device, "progress": False, **how}
    return find_architecture(people, space, algorithm, run_dir=run_dir, seed=seed, **given)
