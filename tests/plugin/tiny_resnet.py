"""A package that registers a backbone which builds quickly: the stem and two residual blocks."""

from cmnas_tf.architecture import BACKBONES, ResNetPlan

NAME = "tiny_resnet"

BACKBONES.register(NAME, ResNetPlan((1, 1, 0, 0), bottleneck=False))
