"""Convolution and pooling as PyTorch pads them, in float64 NumPy, window by window."""

import numpy as np


def _windows(x: np.ndarray, size: int, stride: int, padding: int, fill: float) -> np.ndarray:
    """All windows of ``x`` [N, H, W, C] padded by ``padding``: [N, H', W', size, size, C]."""
    edges = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    x = np.pad(np.asarray(x, np.float64), edges, constant_values=fill)
    height, width = ((side - size) // stride + 1 for side in x.shape[1:3])
    rows = [
        [x[:, i * stride : i * stride + size, j * stride : j * stride + size] for j in range(width)]
        for i in range(height)
    ]
    return np.array(rows).transpose(2, 0, 1, 3, 4, 5)


def convolve(x: np.ndarray, kernel: np.ndarray, stride: int = 1) -> np.ndarray:
    """``torch.nn.Conv2d(..., padding=k // 2, bias=False)``; ``kernel`` [k, k, in, out]."""
    windows = _windows(x, kernel.shape[0], stride, kernel.shape[0] // 2, 0.0)
    return np.einsum("nhwijc,ijco->nhwo", windows, kernel)


def max_pool(x: np.ndarray) -> np.ndarray:
    """``torch.nn.MaxPool2d(3, stride=2, padding=1)``, which pads by minus infinity."""
    return _windows(x, 3, 2, 1, -np.inf).max(axis=(3, 4))
