"""What networks and operations cost: parameters, multiply-adds and time for one image."""

import functools
import math
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tf_keras as keras

from cmnas_tf.architecture import SHARED
from cmnas_tf.cell_plan import places_of
from cmnas_tf.genotype import EDGES, KINDS, NONE, stride_of
from cmnas_tf.layers import ModalityNorm
from cmnas_tf.machine import processor
from cmnas_tf.modality import VISIBLE, Rows
from cmnas_tf.models.cell import operation
from cmnas_tf.models.two_stream import ReidNetwork

_WARM_UP, _REPEATS = 5, 50  # calls of a measurement


class Cost(NamedTuple):
    """Size and work of a network, or of a part of one."""

    parameters: int  # numbers that training changes; no running statistics
    # For one image, of convolutions and matrix products: what papers call FLOPs. A multiplication
    # and its addition are one, also where a window lies over padding.
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
    return _counted(lambda x: network.embed(x, VISIBLE).logits, network, [height, width, 3])


@functools.cache
def operation_cost(name: str, channels: int, stride: int, height: int, width: int) -> Cost:
    """Counts one operation of a derived cell, all its norms shared.

    Args:
      name: of the operation, not ``none``.
      channels: of its input and output.
      stride: 1 or 2.
      height, width: of its input.
    """

    def make_norm(site: str, affine: bool = True) -> ModalityNorm:
        return ModalityNorm(SHARED, affine=affine)

    layer = operation(name, channels, stride, make_norm)
    one = Rows({VISIBLE: 1})
    return _counted(lambda x: layer(x, rows=one), layer, [height, width, channels])


def edge_costs(
    cells: tuple[int, ...], candidates: tuple[str, ...], channels: int, height: int, width: int
) -> dict[str, np.ndarray]:
    """Counts every candidate on every edge, summed over all cells of a kind; ``none`` is free.

    Args:
      cells: number of cells of each stage.
      channels: of a node in the first stage.
      height, width: of an image, in pixels.

    Returns:
      By kind of cell a table of parameters and multiply-adds, [14 edges, candidates, 2] float64;
      the rows are in the order of ``genotype.EDGES``.
    """
    tables = {kind: np.zeros((len(EDGES), len(candidates), 2)) for kind in KINDS}
    for place in places_of(cells):
        for row, (_, source) in enumerate(EDGES):
            shrinkage = place.shrinkage(source)
            size = (-(-height // shrinkage), -(-width // shrinkage))  # halving rounds up
            stage_channels = channels * 2 ** (place.stage - 1)
            stride = stride_of(place.kind, source)
            tables[place.kind][row] += [
                Cost(0, 0) if name == NONE else operation_cost(name, stage_channels, stride, *size)
                for name in candidates
            ]
    return tables


def _counted(
    function: Callable[[tf.Tensor], tf.Tensor], layer: keras.layers.Layer, shape: list[int]
) -> Cost:
    """The cost of a layer, and of a function that calls it with a tensor [1, *shape]."""
    traced = tf.function(function, autograph=False)
    graph = traced.get_concrete_function(tf.TensorSpec([1, *shape], tf.float32)).graph
    operations = [op for op in graph.get_operations() if op.type in _MULTIPLY_ADDS]
    return Cost(
        parameters=sum(math.prod(variable.shape) for variable in layer.trainable_variables),
        multiply_adds=sum(_MULTIPLY_ADDS[op.type](op) for op in operations),
    )


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


class Latency(NamedTuple):
    """A measured time; another machine, or a busy one, has another."""

    milliseconds: float  # median, for one image
    device: str  # that computed
    measured: str  # how

    def __str__(self) -> str:
        """Such as ``12.3 ms for one image on ...``."""
        return f"{self.milliseconds:.3g} ms for one image on {self.device}"


def latency_of(network: ReidNetwork, height: int, width: int) -> Latency:
    """Times the network's embedding of one visible image, as a graph.

    Args:
      height, width: of the image, in pixels.
    """
    embed = tf.function(lambda image: network.embed(image, VISIBLE).embedding, autograph=False)
    image = tf.zeros([1, height, width, 3])
    times = []
    for _ in range(_WARM_UP + _REPEATS):
        start = time.perf_counter()
        embed(image).numpy()  # which waits for the result
        times.append(time.perf_counter() - start)
    milliseconds = 1e3 * statistics.median(times[_WARM_UP:])
    measured = f"median of {_REPEATS} calls of the graph, {height} x {width}, batch 1"
    return Latency(milliseconds, device_name(), measured)


def device_name() -> str:
    """The name of the first GPU, else of the processor."""
    for gpu in tf.config.list_physical_devices("GPU"):
        return str(tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name))
    return processor()
