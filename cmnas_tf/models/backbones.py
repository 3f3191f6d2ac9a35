"""The registry of what builds a backbone from its plan."""

from collections.abc import Callable
from typing import Any

import tf_keras as keras

from cmnas_tf.architecture import BACKBONES, Backbone, Plan, plan_of
from cmnas_tf.errors import BadInput
from cmnas_tf.models.cell_net import channels_of, derived_net
from cmnas_tf.models.operations import MakeNorm
from cmnas_tf.models.resnet import ResNet
from cmnas_tf.registry import Registry

# (backbone, make_norm, width, last_stride) -> a layer that is called as
# ``layer(x, rows, training=...)`` and has ``norms()``, ``smallest_height`` and ``rematerialize``.
Build = Callable[[Any, MakeNorm, float, int], keras.layers.Layer]

BUILDERS: Registry[Build] = Registry("kind of backbone")
BUILDERS.register("resnet", lambda name, norm, width, stride: ResNet(name, norm, stride, width))
BUILDERS.register("cells", lambda plan, norm, width, _: derived_net(plan, norm, channels_of(width)))


def register_backbone(name: str, plan: Plan, build: Build) -> None:
    """Registers a backbone of a new kind.

    Args:
      name: what architectures call it.
      plan: its sites, without TensorFlow; ``plan.kind`` names the builder.
      build: makes the layer.

    Raises:
      BadInput: the name or the kind is taken.
    """
    BACKBONES.register(name, plan)
    try:
        BUILDERS.register(plan.kind, build)
    except BadInput:
        BACKBONES.unregister(name)
        raise


def build_backbone(
    backbone: Backbone, make_norm: MakeNorm, width: float, last_stride: int
) -> keras.layers.Layer:
    """The convolutional part of a network, with the norms of ``make_norm``."""
    return BUILDERS[plan_of(backbone).kind](backbone, make_norm, width, last_stride)
