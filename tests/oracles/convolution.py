"""Convolution and pooling as PyTorch pads them, in float64 NumPy, window by window."""

import numpy as np


def _windows(
    x: np.ndarray, size: int, stride: int, padding: int, fill: float, dilation: int = 1
) -> np.ndarray:
    """All windows of ``x`` [N, H, W, C] padded by ``padding``: [N, H', W', size, size, C]."""
    edges = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    x = np.pad(np.asarray(x, np.float64), edges, constant_values=fill)
    span = (size - 1) * dilation + 1
    down, right = (range(0, side - span + 1, stride) for side in x.shape[1:3])
    rows = [[x[:, i : i + span : dilation, j : j + span : dilation] for j in right] for i in down]
    return np.array(rows).transpose(2, 0, 1, 3, 4, 5)


def convolve(x: np.ndarray, kernel: np.ndarray, stride: int = 1) -> np.ndarray:
    """``torch.nn.Conv2d(..., padding=k // 2, bias=False)``; ``kernel`` [k, k, in, out]."""
    windows = _windows(x, kernel.shape[0], stride, kernel.shape[0] // 2, 0.0)
    return np.einsum("nhwijc,ijco->nhwo", windows, kernel)


def depthwise(x: np.ndarray, kernel: np.ndarray, stride: int, dilation: int) -> np.ndarray:
    """``torch.nn.Conv2d(C, C, 3, stride, padding=dilation, dilation=dilation, groups=C)``;
    ``kernel`` [3, 3, C, 1].
    """
    windows = _windows(x, 3, stride, dilation, 0.0, dilation)
    return np.einsum("nhwijc,ijc->nhwc", windows, kernel[..., 0])


def max_pool(x: np.ndarray, stride: int = 2) -> np.ndarray:
    """``torch.nn.MaxPool2d(3, stride, padding=1)``, which pads by minus infinity."""
    return _windows(x, 3, stride, 1, -np.inf).max(axis=(3, 4))


def avg_pool(x: np.ndarray, stride: int = 2) -> np.ndarray:
    """``torch.nn.AvgPool2d(3, stride, padding=1, count_include_pad=False)``."""
    return np.nanmean(_windows(x, 3, stride, 1, np.nan), axis=(3, 4))
