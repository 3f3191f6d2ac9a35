"""What the tests of training train: a network of two convolutions, and batches of noise."""

from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf
import tf_keras as keras

from cmnas_tf.data.pipeline import Batch
from cmnas_tf.layers import MixedModalityNorm, TorchConv
from cmnas_tf.losses import Objective
from cmnas_tf.modality import MODALITIES
from cmnas_tf.models import Head, ReidNetwork
from tests.oracles.policies import dtype_policy

CLASSES = 5
IMAGES_PER_IDENTITY = 2
# Every term so large that its gradient counts.
OBJECTIVE = Objective(correlation=1.0, mmd=1.0, label_smoothing=0.1)


class Backbone(keras.layers.Layer):
    """Two convolutions, each followed by the norm of a site."""

    def __init__(self, make_norm, **kwargs):
        super().__init__(**kwargs)
        self.conv1, self.bn1 = TorchConv(4, 3, 2), make_norm("stem")
        self.conv2, self.bn2 = TorchConv(6, 3, 1), make_norm("layer1")

    def norms(self):
        return {"stem": self.bn1, "layer1": self.bn2}

    def call(self, x, rows, training=False):
        x = tf.nn.relu(self.bn1(self.conv1(x), rows=rows, training=training))
        return tf.nn.relu(self.bn2(self.conv2(x), rows=rows, training=training))


def supernet(dtype="float32", synchronized=False, make_norm=None):
    """A supernet with two sites; the same seed, the same weights."""
    keras.utils.set_random_seed(1)
    with dtype_policy(dtype):
        make_norm = make_norm or (lambda site: MixedModalityNorm(None, synchronized, name=site))
        network = ReidNetwork(Backbone(make_norm), Head(CLASSES, synchronized))
        network(batch(0, dtype=keras.mixed_precision.Policy(dtype).variable_dtype).images)
    return network


def logits_of(network):
    return [norm.architecture_logits for norm in network.backbone.norms().values()]


def weights_of(network):
    """The trainable variables besides the architecture logits."""
    logits = {logit.ref() for logit in logits_of(network)}
    return [v for v in network.trainable_variables if v.ref() not in logits]


def values_of(variables):
    return [variable.numpy() for variable in variables]


def batch(seed, identities=4, dtype="float32", share=0, of=1):
    """A batch of noise, or a part of it for a replica: whole identities."""
    random = np.random.default_rng(seed)
    rows = identities * IMAGES_PER_IDENTITY
    images = {name: random.normal(size=(rows, 8, 6, 3)) for name in MODALITIES}
    labels = np.repeat(random.permutation(CLASSES)[:identities], IMAGES_PER_IDENTITY)
    part = slice(share * rows // of, (share + 1) * rows // of)
    return Batch(
        {name: tf.constant(pixels[part], dtype) for name, pixels in images.items()},
        tf.constant(labels[part], tf.int32),
    )


@dataclass
class Recorder:
    """In the place of an optimizer: notes the gradients and moves nothing."""

    trained: list
    gradients: list = field(default_factory=list)

    def scale(self, loss):
        return loss

    def apply(self, gradients):
        self.gradients = list(gradients)
