"""What a network costs: parameters, and multiply-adds for one image."""

import math
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from cmnas_tf.modality import VISIBLE
from cmnas_tf.models.two_stream import ReidNetwork


class Cost(NamedTuple):
    """Size and work of a network.

    Attributes:
      parameters: numbers that training changes; no running statistics.
      multiply_adds: for one image, of convolutions and matrix products: what papers call FLOPs. A
        multiplication and its addition are one, also where a window lies over padding.
    """

    parameters: int
    multiply_adds: int

    def __str__(self) -> str:
        """Such as ``23.5 million parameters, 4.09 billion multiply-adds an image``."""
        return (
            f"{self.parameters / 1e6:.3g} million parameters, {self.multiply_adds / 1e9:.3g} "
            "billion multiply-adds an image"
        )


def cost_of(network: ReidNetwork, height: int, width: int) -> Cost:
    """Counts a network's variables, and the operations of its graph.

    Args:
      network: any, of one modality or both; the work is that for a visible image.
      height, width: of the image, in pixels.
    """
    logits = tf.function(lambda image: network.embed(image, VISIBLE).logits)
    image = tf.TensorSpec([1, height, width, 3], tf.float32)
    operations = logits.get_concrete_function(image).graph.get_operations()
    work = sum(_MULTIPLY_ADDS[op.type](op) for op in operations if op.type in _MULTIPLY_ADDS)
    parameters = sum(math.prod(variable.shape) for variable in network.trainable_variables)
    return Cost(parameters, work)


def _convolution(op: tf.Operation) -> int:
    """Every number of the output is a sum over the kernel's window and input channels."""
    return math.prod(op.outputs[0].shape) * math.prod(op.inputs[1].shape[:3])


def _depthwise(op: tf.Operation) -> int:
    """... over the kernel's window alone."""
    output = op.outputs[0]
    for reader in output.consumers():
        if reader.type == "BatchToSpaceND":  # a dilated convolution, cut into padded phases
            output = reader.outputs[0]
    return math.prod(output.shape) * math.prod(op.inputs[1].shape[:2])


def _product(op: tf.Operation) -> int:
    """... over the last axis of the first factor, which is not transposed."""
    return math.prod(op.outputs[0].shape) * op.inputs[0].shape[-1]


def _einsum(op: tf.Operation) -> int:
    """One for every combination of its indices."""
    terms = op.get_attr("equation").decode().split("->")[0].split(",")
    shapes = [tensor.shape for tensor in op.inputs]
    sizes = {
        i: n
        for term, shape in zip(terms, shapes, strict=True)
        for i, n in zip(term, shape, strict=True)
    }
    return math.prod(sizes.values())


_MULTIPLY_ADDS: dict[str, Callable[[tf.Operation], int]] = {
    "Conv2D": _convolution,
    "DepthwiseConv2dNative": _depthwise,
    "MatMul": _product,
    "BatchMatMulV2": _product,
    "Einsum": _einsum,
}
