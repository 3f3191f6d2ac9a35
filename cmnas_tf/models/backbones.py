"""The registry of what builds a backbone from its plan."""

from collections.abc import Callable

import tf_keras as keras

from cmnas_tf.architecture import BACKBONES, Backbone, Plan, ResNetPlan, plan_of
from cmnas_tf.cell_plan import channels_of
from cmnas_tf.errors import BadInput
from cmnas_tf.models.cell_net import derived_net
from cmnas_tf.models.operations import MakeNorm
from cmnas_tf.models.resnet import ResNet
from cmnas_tf.network_parts import PLAIN, NetworkParts
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
    backbone: Backbone,
    make_norm: MakeNorm,
    width: float,
    last_stride: int,
    parts: NetworkParts = PLAIN,
    synchronized: bool = False,
) -> keras.layers.Layer:
    """The convolutional part of a network, with the norms of ``make_norm``.

    Raises:
      BadInput: another backbone than a ResNet is to have ``parts`` of one.
    """
    kind = plan_of(backbone).kind
    of_backbone = parts.separate_stem or parts.non_local
    if of_backbone and kind != ResNetPlan.kind:
        raise BadInput(
            f"separate_stem={parts.separate_stem} and non_local={parts.non_local} are for ResNets, "
            f"and the backbone is {backbone}. Leave `separate_stem` and `non_local` out."
        )
    besides = {"parts": parts, "synchronized": synchronized} if of_backbone else {}
    return BUILDERS[kind](backbone, make_norm, width, last_stride, **besides)
