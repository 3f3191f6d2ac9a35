"""Networks of cells in float64 NumPy: operations, mixtures, cells, and the stack of them."""

from collections.abc import Mapping

import numpy as np

from tests.oracles.convolution import avg_pool, depthwise, max_pool
from tests.oracles.norms import softmax
from tests.oracles.resnet import Forward


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


class CellForward(Forward):
    """One pass through a network of cells, or a part of one; arguments as for ``Forward``."""

    def operation(self, name: str, x: np.ndarray, path: str, stride: int) -> np.ndarray:
        """An operation by its name in a genotype."""
        if name == "none":
            return np.zeros_like(x[:, ::stride, ::stride])
        if name == "skip_connect":
            return x if stride == 1 else self.reduce(x, path)
        if name in ("max_pool_3x3", "avg_pool_3x3"):
            pool = max_pool if name.startswith("max") else avg_pool
            return self._norm(pool(x, stride), f"{path}.bn")
        if name == "dil_conv_3x3":
            return self.depthwise_separable(x, path, stride, 2)
        if name == "sep_conv_3x3":
            x = self.depthwise_separable(x, f"{path}.first", stride, 1)
            return self.depthwise_separable(x, f"{path}.second", 1, 1)
        return self.part_aware(x, path, stride)

    def depthwise_separable(
        self, x: np.ndarray, path: str, stride: int, dilation: int
    ) -> np.ndarray:
        x = depthwise(relu(x), self.weights[f"{path}.depthwise.kernel"], stride, dilation)
        return self._norm(self._conv(x, f"{path}.pointwise", 1), f"{path}.bn")

    def reduce(self, x: np.ndarray, path: str) -> np.ndarray:
        """Half of the channels from x[2i, 2j], half from x[2i + 1, 2j + 1], 0 beyond the edge."""
        n, height, width, channels = x.shape
        padded = np.zeros((n, height + 1, width + 1, channels))
        padded[:, :height, :width] = relu(x)
        halves = []
        for name, offset in (("even", 0), ("odd", 1)):
            picked = np.stack(
                [
                    np.stack(
                        [padded[:, i + offset, j + offset] for j in range(0, width, 2)], axis=1
                    )
                    for i in range(0, height, 2)
                ],
                axis=1,
            )
            halves.append(picked @ self.weights[f"{path}.{name}.kernel"][0, 0])
        return self._norm(np.concatenate(halves, axis=-1), f"{path}.bn")

    def part_aware(self, x: np.ndarray, path: str, stride: int) -> np.ndarray:
        """Stripe by stripe, image by image."""
        n, height, width, _ = x.shape
        kernel, bias = self.weights[f"{path}.kernel"], self.weights[f"{path}.bias"]
        hidden = kernel.shape[-1]
        bounds = [int(i * height / 4) for i in range(5)]
        parts = []
        for i in range(4):
            mean = x[:, bounds[i] : bounds[i + 1]].mean(axis=(1, 2))
            vector = relu(mean) @ kernel[i] + bias[i]
            own = slice(i * hidden, (i + 1) * hidden)
            cut = {k: w[own] for k, w in self.weights.items() if k.startswith(f"{path}.parts_bn")}
            forward = CellForward(cut, self.visible, self.training)
            parts.append(forward._norm(vector[:, None, None], f"{path}.parts_bn")[:, 0, 0])
        found = np.empty((n, height, width, hidden))
        for image in range(n):
            vectors = np.stack([part[image] for part in parts])  # [4, h]
            keys, queries = (
                vectors @ self.weights[f"{path}.{m}.kernel"] + self.weights[f"{path}.{m}.bias"]
                for m in ("keys", "queries")
            )
            for i in range(4):
                attention = softmax(np.array([keys[i] @ queries[j] for j in range(4)]))
                found[image, bounds[i] : bounds[i + 1]] = attention @ vectors
        x = np.concatenate([x, found], axis=-1)
        if stride == 2:
            return self.reduce(x, f"{path}.last")
        return self._norm(self._conv(x, f"{path}.last.conv", 1), f"{path}.last.bn")

    def mixture(
        self, weights: Mapping[str, float], x: np.ndarray, path: str, stride: int
    ) -> np.ndarray:
        """The sum of all operations, each times its weight."""
        return sum(
            weight * self.operation(name, x, f"{path}.operations.{name}", stride)
            for name, weight in weights.items()
        )

    def cell(
        self,
        before: np.ndarray,
        last: np.ndarray,
        path: str,
        edges: Mapping[str, Mapping[str, str | Mapping[str, float]]],
        reduction: bool,
    ) -> np.ndarray:
        """A cell of operations, or of mixtures where an edge gives weights by operation."""
        if f"{path}.input0.conv.kernel" in self.weights:
            before = self._pointwise(before, f"{path}.input0")
        else:
            before = self.reduce(before, f"{path}.input0")
        done = {"input0": before, "input1": self._pointwise(last, f"{path}.input1")}
        for node, incoming in edges.items():
            total = 0
            for source, choice in incoming.items():
                stride = 2 if reduction and source.startswith("input") else 1
                carry = self.operation if isinstance(choice, str) else self.mixture
                total = total + carry(choice, done[source], f"{path}.{node}.{source}", stride)
            done[node] = total
        return np.concatenate([done[f"node{n}"] for n in (2, 3, 4, 5)], axis=-1)

    def _pointwise(self, x: np.ndarray, path: str) -> np.ndarray:
        return self._norm(self._conv(relu(x), f"{path}.conv", 1), f"{path}.bn")

    def network(
        self, x: np.ndarray, cells: tuple[int, ...], normal: Mapping, reduction: Mapping
    ) -> np.ndarray:
        """The stem, and all cells after it."""
        x = relu(self._norm(self._conv(x, "conv1", 2), "bn1"))
        before = last = max_pool(x)
        for stage, count in enumerate(cells, start=1):
            for number in range(count):
                halves = stage > 1 and number == 0
                edges = reduction if halves else normal
                given = self.cell(before, last, f"layer{stage}.{number}", edges, halves)
                before, last = last, given
        return last
