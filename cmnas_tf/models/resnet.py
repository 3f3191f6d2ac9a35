"""ResNet-18 to ResNet-152 in torchvision's form, with every batch norm supplied from outside."""

from collections.abc import Callable
from typing import Any, cast

import tensorflow as tf
import tf_keras as keras

from cmnas_tf.architecture import ResNetPlan, plan_of
from cmnas_tf.errors import BadInput
from cmnas_tf.layers import TorchConv, max_pool_3x3
from cmnas_tf.modality import MODALITIES, Rows
from cmnas_tf.models.non_local import NonLocal
from cmnas_tf.models.stages import Stages
from cmnas_tf.network_parts import PLAIN, NetworkParts

MakeNorm = Callable[[str], keras.layers.Layer]


class Downsample(keras.layers.Layer):
    """The strided 1x1 convolution and norm on the shortcut of a stage's first block."""

    def __init__(self, filters: int, stride: int, norm: keras.layers.Layer, **kwargs: Any):
        super().__init__(**kwargs)
        self.conv = TorchConv(filters, 1, stride)
        self.bn = norm

    def call(self, x: tf.Tensor, rows: Rows, training: bool = False) -> tf.Tensor:
        """``x`` [N, H, W, C] -> [N, H / stride, W / stride, filters]."""
        return self.bn(self.conv(x), rows=rows, training=training)


class Block(keras.layers.Layer):
    """A residual block: two 3x3 convolutions, or 1x1, 3x3 (which has the stride), 1x1.

    Args:
      filters: channels of the inner convolutions.
      prefix: site name of the block, such as ``"layer2.0"``.
    """

    def __init__(
        self,
        plan: ResNetPlan,
        filters: int,
        stride: int,
        has_downsample: bool,
        make_norm: MakeNorm,
        prefix: str,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        out = filters * plan.expansion
        self.downsample = (
            Downsample(out, stride, make_norm(f"{prefix}.downsample")) if has_downsample else None
        )
        self.non_local: NonLocal | None = None  # what its output goes through besides
        self.depth = plan.norms_per_block
        if plan.bottleneck:
            shapes = [(filters, 1, 1), (filters, 3, stride), (out, 1, 1)]
        else:
            shapes = [(filters, 3, stride), (out, 3, 1)]
        for number, (channels, kernel, strides) in enumerate(shapes, start=1):
            setattr(self, f"conv{number}", TorchConv(channels, kernel, strides))
            setattr(self, f"bn{number}", make_norm(f"{prefix}.bn{number}"))

    def norms(self) -> dict[str, keras.layers.Layer]:
        """The norms by their name within the block, in the order of ``config.cfg``."""
        found = {} if self.downsample is None else {"downsample": self.downsample.bn}
        numbers = range(1, self.depth + 1)
        return {**found, **{f"bn{number}": getattr(self, f"bn{number}") for number in numbers}}

    def call(self, x: tf.Tensor, rows: Rows, training: bool = False) -> tf.Tensor:
        """``x`` [N, H, W, C] -> [N, H / stride, W / stride, filters * expansion]."""
        shortcut = x if self.downsample is None else self.downsample(x, rows, training=training)
        for number in range(1, self.depth + 1):
            x = getattr(self, f"conv{number}")(x)
            x = getattr(self, f"bn{number}")(x, rows=rows, training=training)
            if number < self.depth:
                x = tf.nn.relu(x)
        x = tf.nn.relu(x + shortcut)
        return x if self.non_local is None else self.non_local(x, training=training)


class ResNet(Stages):
    """The convolutional part of a ResNet.

    Args:
      backbone: ``"resnet18"`` .. ``"resnet152"``.
      make_norm: gives the norm layer of a site; called once for each site, in the order of
        ``architecture.sites_of(backbone)``. A norm is called as
        ``norm(x, rows=rows, training=training)``.
      last_stride: stride of the last stage, 1 or 2.
      width: factor on all channel numbers.
      parts: what it has besides; the head's pooling is not its.
      synchronized: of the norms of ``parts``, see :class:`BatchNorm`.

    Raises:
      BadInput: it has no such blocks for ``parts.non_local`` to follow.
    """

    def __init__(
        self,
        backbone: str,
        make_norm: MakeNorm,
        last_stride: int = 1,
        width: float = 1.0,
        parts: NetworkParts = PLAIN,
        synchronized: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        plan = cast(ResNetPlan, plan_of(backbone))
        non_local = parts.non_local or (0,) * len(plan.blocks)
        if len(non_local) != len(plan.blocks) or not all(
            0 <= n <= blocks for n, blocks in zip(non_local, plan.blocks, strict=True)
        ):
            raise BadInput(
                f"non_local={','.join(map(str, non_local))} does not fit {backbone}; it must be "
                f"{len(plan.blocks)} numbers, at most {','.join(map(str, plan.blocks))}."
            )
        filters = max(1, round(64 * width))
        self.separate_stem = parts.separate_stem
        self.conv1: Any = TorchConv(filters, 7, 2)
        if self.separate_stem:
            self.conv1 = {modality: TorchConv(filters, 7, 2) for modality in MODALITIES}
        self.bn1 = make_norm("stem")
        stages: dict[str, list[Block]] = {}
        for stage, blocks in enumerate(plan.blocks, start=1):
            stride = {1: 1, 4: last_stride}.get(stage, 2)
            layer = stages[f"layer{stage}"] = [
                Block(
                    plan,
                    filters * 2 ** (stage - 1),
                    stride if block == 0 else 1,
                    plan.has_downsample(stage, block),
                    make_norm,
                    f"layer{stage}.{block}",
                )
                for block in range(blocks)
            ]
            for last in layer[blocks - non_local[stage - 1] :]:
                last.non_local = NonLocal(filters * 2 ** (stage - 1) * plan.expansion, synchronized)
        self.set_stages(stages)

    def call(self, x: tf.Tensor, rows: Rows, training: bool = False) -> tf.Tensor:
        """``x`` [N, H, W, 3] -> feature map [N, H / 16, W / 16, C] (/ 32 with last stride 2)."""
        if self.separate_stem:
            x = tf.concat([self.conv1[name](part) for name, part in rows.split(x).items()], axis=0)
        else:
            x = self.conv1(x)
        x = tf.nn.relu(self.bn1(x, rows=rows, training=training))
        x = max_pool_3x3(x)
        for blocks in self.stages.values():
            for block in blocks:
                x = self.through(block, {"x": x}, rows, training)
        return x
