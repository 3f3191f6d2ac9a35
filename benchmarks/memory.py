"""``python -m benchmarks memory``: the batch that fits into a GPU's memory, from the step's graph.

The step is traced for two batches, not run. In the order of its operations a tensor takes memory
from where it is computed to where it is last read. XLA computes what follows element by element
from other tensors where it is read, unless a convolution or a product reads it. What libraries take
for themselves is not seen; ``CHECKED`` compares with what cards were measured to take.
"""

import argparse
import json
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import tensorflow as tf
import tf_keras as keras

from benchmarks import batch
from cmnas_tf.architecture import Architecture
from cmnas_tf.data.pipeline import Batch
from cmnas_tf.layers import Softmax
from cmnas_tf.losses import Objective
from cmnas_tf.modality import MODALITIES
from cmnas_tf.models import two_stream
from cmnas_tf.models.precision import POLICIES
from cmnas_tf.search_spaces import NormSpace
from cmnas_tf.tables import table
from cmnas_tf.training.gradient_step import gradient_step
from cmnas_tf.training.loss_scale import scaled_for
from cmnas_tf.training.optimizers import weight_optimizer
from cmnas_tf.training.recipe import WeightOptimizer

GIGABYTES = (8, 12, 24, 80)
FREE = 0.9  # of a card's memory; the rest is CUDA's, cuDNN's and the screen's
WAYS = [(precision, recompute) for precision in ("float32", "bfloat16") for recompute in (0, 1)]
# Measured variants of ``benchmarks.gpu``, and the step they measure.
CHECKED: dict[str, dict[str, Any]] = {
    "derived?xla=on": {},
    "search?xla=on": {"supernet": True},
    "supernet?xla=on": {"supernet": True},
    "derived?xla=on&precision=bfloat16": {"precision": "bfloat16"},
    "derived?xla=on&precision=float16": {"precision": "float16"},
    "derived?xla=on&recompute=yes": {"recompute": 1},
}

# Variables are counted apart, and convolutions pad what they read.
ALWAYS = {"ReadVariableOp", "Pad", "PadV2"}
# Computed where they are read, unless by an operation of READERS.
ELEMENTWISE = {
    *("Identity", "Reshape", "Cast", "Relu", "ReluGrad", "AddV2", "AddN", "Add", "Sub", "Mul"),
    *("RealDiv", "Neg", "Square", "Sqrt", "Rsqrt", "Pad", "PadV2", "ConcatV2", "Split", "SplitV"),
    *("Slice", "StridedSlice", "Select", "SelectV2", "BroadcastTo", "Fill", "ZerosLike", "Tile"),
    *("Maximum", "Minimum", "Greater", "GreaterEqual", "Less", "ExpandDims", "Squeeze", "Pack"),
    *("StopGradient", "Transpose", "FusedBatchNormV3", "FusedBatchNormGradV3"),
    *("StridedSliceGrad", "ReadVariableOp", "PreventGradient", "Unpack", "Const"),
}
SMALL = 100_000  # bytes, below which it does not matter
READERS = {"Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter", "MatMul", "BatchMatMulV2"}


def main(words: list[str] | None = None) -> None:
    """Shows how many identities fit, and how well that agrees with what was measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks memory", description=__doc__)
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--images_per_identity", type=int, default=4)
    options = parser.parse_args(words)
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # nothing is computed
    k = options.images_per_identity
    rows = [["", *(f"{size} GB" for size in GIGABYTES)]]
    for precision, recompute in WAYS:
        fixed, each = _line(options.backbone, k, precision=precision, recompute=recompute)
        fits = [int((FREE * size * 1e9 - fixed) // each) for size in GIGABYTES]
        name = precision + (" --recompute" if recompute else "")
        rows.append([name, *(str(number) if number > 1 else "-" for number in fits)])
    size = f"{batch.HEIGHT}x{batch.WIDTH}"
    print(
        f"--identities_per_batch that fit, of {k} + {k} images of {size}, {options.backbone}, "
        f"{FREE:.0%} of the memory taken:\n{table(rows)}"
    )
    for file in sorted((Path(__file__).parent / "results").glob("NVIDIA*.json")):
        rows = [["", "computed", "measured"]]
        measured = json.loads(file.read_text())["variants"]
        for variant, how in CHECKED.items():
            if "gpu_bytes" in measured.get(f"benchmarks.steps:{variant}", {}):
                seen = measured[f"benchmarks.steps:{variant}"]["gpu_bytes"]
                fixed, each = _line("resnet50", 4, **how)
                rows.append([variant, f"{(fixed + 16 * each) / 1e9:.2f}", f"{seen / 1e9:.2f}"])
        print(f"\nGB at 16 identities, against {file.name}:\n{table(rows)}")


@cache
def _line(backbone: str, images_per_identity: int, **how: Any) -> tuple[float, float]:
    """Bytes of no identity, and of each identity in a batch."""
    few, more = 2, 6
    low, high = (step_bytes(backbone, n, images_per_identity, **how) for n in (few, more))
    each = (high - low) / (more - few)
    return low - few * each, each


def step_bytes(
    backbone: str,
    identities: int,
    images_per_identity: int,
    precision: str = "float32",
    recompute: int = 0,
    supernet: bool = False,
) -> int:
    """The most memory that a training step takes at a time, as a compiled whole.

    Args:
      backbone: its name.
      identities, images_per_identity: of the batch, for each modality.
      precision: of the feature maps.
      recompute: whether blocks are computed again on the way back.
      supernet: whether of the supernet; else of the network that separates every norm.
    """
    keras.backend.clear_session()
    keras.mixed_precision.set_global_policy(POLICIES[precision])
    if supernet:
        network = NormSpace(backbone).supernet(Softmax(), batch.CLASSES)
    else:
        network = two_stream(Architecture.separate(backbone), batch.CLASSES, backbone)
    network.backbone.rematerialize = bool(recompute)
    logits = [v for v in network.trainable_variables if "architecture_logits" in v.name]
    weights = weight_optimizer(network, WeightOptimizer(), besides=logits)
    optimizer = scaled_for(precision, weights)
    shape = [identities * images_per_identity, batch.HEIGHT, batch.WIDTH, 3]

    @tf.function(autograph=False)
    def step(images: dict[str, tf.Tensor], labels: tf.Tensor) -> dict[str, tf.Tensor]:
        return gradient_step(
            network, Objective(), optimizer, Batch(images, labels), images_per_identity
        )

    images = {modality: tf.TensorSpec(shape) for modality in MODALITIES}
    traced = step.get_concrete_function(images, tf.TensorSpec(shape[:1], tf.int32))
    kept = sum(v.shape.num_elements() * v.dtype.size for v in traced.graph.variables)
    return kept + peak_bytes(traced.graph.get_operations())


def peak_bytes(operations: Iterable[tf.Operation]) -> int:
    """The most bytes of tensors that are held at a time, operations in the order given."""
    operations = list(operations)
    sources: dict[Any, frozenset[Any]] = {}  # by tensor: those in memory that it is computed from
    last: dict[Any, int] = {}  # by tensor in memory: where it is last read
    for place, operation in enumerate(operations):
        of_inputs = [sources[tensor.ref()] for tensor in operation.inputs]
        read = frozenset().union(*of_inputs)
        for tensor in read:
            last[tensor] = place
        for position, tensor in enumerate(operation.outputs):
            if operation.type == "IdentityN":
                sources[tensor.ref()] = of_inputs[position]
            elif _computed_where_read(operation, position):
                sources[tensor.ref()] = read
            else:
                sources[tensor.ref()] = frozenset([tensor.ref()])
                last.setdefault(tensor.ref(), place)
    ends: dict[int, int] = {}
    for ref, place in last.items():
        ends[place] = ends.get(place, 0) + _bytes(ref.deref())
    held = most = 0
    for place, operation in enumerate(operations):
        held += sum(_bytes(t) for t in operation.outputs if t.ref() in last)
        most = max(most, held)
        held -= ends.get(place, 0)
    return most


def _computed_where_read(operation: tf.Operation, position: int) -> bool:
    """Whether an output takes no memory of its own."""
    tensor = operation.outputs[position]
    if operation.type not in ELEMENTWISE or _bytes(tensor) < SMALL:
        return False
    if operation.type.startswith("FusedBatchNorm") and position:  # statistics, their gradients
        return False
    return operation.type in ALWAYS or all(r.type not in READERS for r in tensor.consumers())


def _bytes(tensor: tf.Tensor) -> int:
    number = tensor.shape.num_elements() if tensor.shape.rank is not None else None
    return (number or 0) * tensor.dtype.size if tensor.dtype.is_numpy_compatible else 0
