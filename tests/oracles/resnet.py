"""A ResNet with norms per modality, float64 NumPy, in torchvision's form (He et al., CVPR 2016)."""

import numpy as np

from tests.oracles.convolution import convolve, max_pool
from tests.oracles.norms import BatchNorm

BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3)}


class Forward:
    """One pass through the backbone.

    Args:
      weights: ``{path: array}`` in TensorFlow's layout; a norm's arrays end in ``gamma``, ``beta``,
        ``moving_mean`` and ``moving_variance``, below ``shared`` or ``visible`` and ``infrared``.
      visible: number of visible rows, which come first.
      training: whether the batch's statistics are used.
    """

    def __init__(self, weights: dict[str, np.ndarray], visible: int, training: bool):
        self.weights = weights
        self.visible = visible
        self.training = training

    def __call__(self, x: np.ndarray, backbone: str, last_stride: int) -> np.ndarray:
        x = np.maximum(self._norm(self._conv(x, "conv1", 2), "bn1"), 0)
        x = max_pool(x)
        for stage, blocks in enumerate(BLOCKS[backbone], start=1):
            for block in range(blocks):
                stride = (1, 2, 2, last_stride)[stage - 1] if block == 0 else 1
                x = self._block(x, f"layer{stage}.{block}", stride)
        return x

    def _block(self, x: np.ndarray, path: str, stride: int) -> np.ndarray:
        depth = 3 if f"{path}.conv3.kernel" in self.weights else 2
        strided = 2 if depth == 3 else 1  # the 3x3 convolution of a bottleneck, else the first
        y = x
        for n in range(1, depth + 1):
            y = self._conv(y, f"{path}.conv{n}", stride if n == strided else 1)
            y = self._norm(y, f"{path}.bn{n}")
            if n < depth:
                y = np.maximum(y, 0)
        if f"{path}.downsample.conv.kernel" in self.weights:
            x = self._norm(
                self._conv(x, f"{path}.downsample.conv", stride), f"{path}.downsample.bn"
            )
        return np.maximum(x + y, 0)

    def _conv(self, x: np.ndarray, path: str, stride: int) -> np.ndarray:
        return convolve(x, self.weights[f"{path}.kernel"], stride)

    def _norm(self, x: np.ndarray, path: str) -> np.ndarray:
        if f"{path}.shared.moving_mean" in self.weights:
            return self._normalize(x, f"{path}.shared")
        visible, infrared = x[: self.visible], x[self.visible :]
        parts = [self._normalize(visible, f"{path}.visible")] if len(visible) else []
        parts += [self._normalize(infrared, f"{path}.infrared")] if len(infrared) else []
        return np.concatenate(parts)

    def _normalize(self, x: np.ndarray, path: str) -> np.ndarray:
        norm = BatchNorm(
            self.weights.get(f"{path}.gamma", 1.0),  # not there without scale and offset
            self.weights.get(f"{path}.beta", 0.0),
            self.weights[f"{path}.moving_mean"],
            self.weights[f"{path}.moving_variance"],
        )
        return norm.train(x) if self.training else norm.infer(x)
