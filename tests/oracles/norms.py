"""Batch normalisation and its gradient in float64 NumPy, straight from the equations."""

from dataclasses import dataclass

import numpy as np

EPSILON = 1e-5
MOMENTUM = 0.9


@dataclass
class BatchNorm:
    """Ioffe and Szegedy, algorithm 1, over all axes but the last; PyTorch's running statistics."""

    gamma: np.ndarray
    beta: np.ndarray
    moving_mean: np.ndarray
    moving_variance: np.ndarray

    def infer(self, x: np.ndarray) -> np.ndarray:
        """With the running statistics."""
        scale = self.gamma / np.sqrt(self.moving_variance + EPSILON)
        return (x - self.moving_mean) * scale + self.beta

    def train(self, x: np.ndarray) -> np.ndarray:
        """With the statistics of ``x``, which also move the running ones."""
        flat = x.reshape(-1, x.shape[-1])
        mean, variance = flat.mean(axis=0), flat.var(axis=0)
        self.moving_mean = MOMENTUM * self.moving_mean + (1 - MOMENTUM) * mean
        unbiased = flat.var(axis=0, ddof=1)
        self.moving_variance = MOMENTUM * self.moving_variance + (1 - MOMENTUM) * unbiased
        return (x - mean) / np.sqrt(variance + EPSILON) * self.gamma + self.beta

    def gradients(self, x: np.ndarray, dy: np.ndarray) -> dict[str, np.ndarray]:
        """Of ``sum(dy * train(x))``, by the chain rule of the paper's section 3."""
        flat, flat_dy = x.reshape(-1, x.shape[-1]), dy.reshape(-1, x.shape[-1])
        scale = 1 / np.sqrt(flat.var(axis=0) + EPSILON)
        normalized = (flat - flat.mean(axis=0)) * scale
        dx = (
            self.gamma
            * scale
            * (flat_dy - flat_dy.mean(axis=0) - normalized * (flat_dy * normalized).mean(axis=0))
        )
        return {
            "x": dx.reshape(x.shape),
            "gamma": (flat_dy * normalized).sum(axis=0),
            "beta": flat_dy.sum(axis=0),
        }


def softmax(logits: np.ndarray) -> np.ndarray:
    """exp(l) / sum exp(l), of numbers that exp can take."""
    powers = np.exp(logits - np.max(logits))
    return powers / powers.sum()
