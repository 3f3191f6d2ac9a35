"""The registry of what builds the convolutional part of a network, by the kind of its plan."""

from collections.abc import Callable

import tf_keras as keras

from cmnas_tf.architecture import BACKBONES, Plan
from cmnas_tf.cell_plan import channels_of
from cmnas_tf.errors import BadInput
from cmnas_tf.models.cell_net import derived_net
from cmnas_tf.models.resnet import ResNet
from cmnas_tf.registry import Registry

# (backbone, make_norm, width, last_stride) -> a layer that is called as
# ``layer(x, rows, training=...)`` and has ``norms()``, ``smallest_height`` and ``rematerialize``.
# That of ResNets also takes what else they may have: ``parts`` and ``synchronized``.
Build = Callable[..., keras.layers.Layer]

BUILDERS: Registry[Build] = Registry("kind of backbone")
BUILDERS.register(
    "resnet",
    lambda name, norm, width, stride, **parts: ResNet(name, norm, stride, width, **parts),
)
BUILDERS.register("cells", lambda plan, norm, width, _: derived_net(plan, norm, channels_of(width)))


def register_backbone(name: str, plan: Plan, build: Build) -> None:
    """Registers a backbone of a new kind.

    Args:
      name: what architectures call it.
      plan: its sites, without TensorFlow; ``plan.kind`` names the builder.

    Raises:
      BadInput: the name or the kind is taken.
    """
    BACKBONES.register(name, plan)
    try:
        BUILDERS.register(plan.kind, build)
    except BadInput:
        BACKBONES.unregister(name)
        raise
