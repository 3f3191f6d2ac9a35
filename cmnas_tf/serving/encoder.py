"""A trained network up to its embedding, as graphs whose convolutions hold their batch norms.

A convolution with kernel ``K`` and a norm behind it are one convolution with kernel ``K * scale``
and bias ``offset - mean * scale``, where ``scale = gamma / sqrt(variance + epsilon)`` (Jacob et
al., CVPR 2018, section 3.2). For one modality that is exact at every site, shared or separate, up
to the rounding of float32.

In bfloat16 TensorFlow's own rewriter then narrows the folded convolutions and what lies between
them; sums within a convolution, means and the last norm stay float32.
"""

import os
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf.config_pb2 import ConfigProto
from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
from tensorflow.python.grappler.tf_optimizer import OptimizeGraph

from cmnas_tf.data.augment import normalize
from cmnas_tf.errors import BadInput
from cmnas_tf.modality import Rows
from cmnas_tf.models import ReidNetwork
from cmnas_tf.models.specification import Specification

_NORM = "FusedBatchNormV3"


class Encoder(tf.Module):
    """A trained network up to its embedding, as a graph for each modality it was trained on.

    Attributes:
      weights: what the graphs need; the modalities share equal ones. Empty when frozen.
      size: of an embedding.
      folded: whether batch norms are part of the convolutions.

    Args:
      network, specification: a trained network, and how it was built.
      frozen: whether the weights are constants of the graphs.
      bfloat16: whether a network of float32 computes, and keeps its weights, in bfloat16.
    """

    def __init__(
        self,
        network: ReidNetwork,
        specification: Specification,
        frozen: bool = False,
        bfloat16: bool = False,
    ):
        super().__init__()
        self.size = network.embedding_size
        # Folding is exact in float32; narrow numbers would be rounded at another place.
        self.folded = network.compute_dtype == "float32"
        spec = tf.TensorSpec([None, specification.height, specification.width, 3])
        graphs = {
            modality: InferenceGraph(
                partial(_encode, network, modality), spec, self.folded, bfloat16
            )
            for modality in specification.modalities
        }
        variables: dict[tuple, tf.Variable] = {}
        given: dict[str, dict[str, tf.Variable]] = {modality: {} for modality in graphs}
        for modality, graph in graphs.items():
            for name, array in {} if frozen else graph.weights.items():
                key = (array.shape, array.tobytes())
                if key not in variables:
                    variables[key] = tf.Variable(array, trainable=False, name=name)
                given[modality][name] = variables[key]
        self.weights = list(variables.values())
        # Unlike an attribute that holds them, a function is not stored.
        self._encode = lambda images, modality: graphs[modality](images, given[modality])

    def __call__(self, images: tf.Tensor, modality: str) -> tf.Tensor:
        """``images`` [N, H, W, 3] float32, normalised, all of one modality -> [N, D] float32."""
        return self._encode(images, modality)

    def embed(self, pixels: tf.Tensor, modality: str) -> tf.Tensor:
        """``pixels`` [N, H, W, 3] uint8 -> embedding [N, D] float32, rows of norm 1."""
        return tf.math.l2_normalize(self(normalize(pixels), modality), axis=1)


def embedding_function(
    encoder: Encoder, specification: Specification, modality: str, one: bool = False
) -> Any:
    """From pixels [N, height, width, 3] uint8 to ``{"embedding": [N, D]}``; of ``one`` image."""
    shape = [1 if one else None, specification.height, specification.width, 3]

    @tf.function(autograph=False, input_signature=[tf.TensorSpec(shape, tf.uint8, "pixels")])
    def embed(pixels):
        return {"embedding": encoder.embed(pixels, modality)}

    return embed


def _encode(network: ReidNetwork, modality: str, images: tf.Tensor) -> tf.Tensor:
    """The embedding of ``network.embed``, without its logits."""
    rows = Rows({modality: tf.shape(images)[0]})
    features = network.backbone(images, rows, training=False)  # [N, h, w, D]
    _, embedding = network.head.embed(features, training=False)
    return embedding


class InferenceGraph:
    """What a function from one tensor to one tensor computes, its variables as numbers.

    Attributes:
      weights: the arrays of floating-point numbers it needs, by name.

    Args:
      function: traced here; its variables may change or vanish afterwards.
      spec: of its argument.
      fold: whether a norm becomes part of the convolution before it, where nothing else uses what
        the convolution gives.
      bfloat16: whether it is narrowed.

    Raises:
      BadInput: TensorFlow cannot narrow it here.
    """

    def __init__(
        self,
        function: Callable[[tf.Tensor], tf.Tensor],
        spec: tf.TensorSpec,
        fold: bool,
        bfloat16: bool = False,
    ):
        traced = tf.function(function, autograph=False).get_concrete_function(spec)
        frozen = convert_variables_to_constants_v2(traced)
        graph, output = _without_identities(frozen.graph.as_graph_def(), frozen.outputs[0].name)
        if fold:
            _fold(graph, frozen.graph)
            _pad_pools_with_zeros(graph)
        if bfloat16:
            graph, output = _without_identities(_narrowed(graph, output), output)
        self._graph, self._output = _needed(graph, output), output
        self._input = frozen.inputs[0].name
        constants = {
            node.name: tf.make_ndarray(node.attr["value"].tensor)
            for node in self._graph.node
            if node.op == "Const" and tf.as_dtype(node.attr["dtype"].type).is_floating
        }
        self.weights = {name: array for name, array in constants.items() if array.ndim}

    def __call__(self, x: tf.Tensor, weights: Mapping[str, tf.Tensor] | None = None) -> tf.Tensor:
        """Computes the function, in a graph; ``weights`` replace the constants of these names."""
        weights = weights or {}
        given = {f"{name}:0": tf.convert_to_tensor(value) for name, value in weights.items()}
        graph = tf.compat.v1.GraphDef(versions=self._graph.versions)
        graph.node.extend(node for node in self._graph.node if node.name not in weights)
        (result,) = tf.graph_util.import_graph_def(
            graph, {self._input: x, **given}, [f"{self._output}:0"], name=""
        )
        return result


def _without_identities(graph: tf.compat.v1.GraphDef, output: str) -> tuple:
    """The graph with every input taken from where it is computed, and the output's node."""
    nodes = {node.name: node for node in graph.node}

    def source(tensor: str) -> str:
        node, _, output = tensor.partition(":")
        # A function with its own gradient leaves an IdentityN, which hides a norm from grappler.
        if nodes[node].op == "IdentityN":
            return source(nodes[node].input[int(output or 0)])
        return source(nodes[node].input[0]) if nodes[node].op == "Identity" else tensor

    for node in graph.node:
        node.input[:] = [source(tensor) for tensor in node.input if not tensor.startswith("^")]
    output = source(output).partition(":")[0]
    return _needed(graph, output), output


def _needed(graph: tf.compat.v1.GraphDef, output: str) -> tf.compat.v1.GraphDef:
    """The nodes that an output depends on, in their order."""
    nodes = {node.name: node for node in graph.node}
    needed: set[str] = set()
    waiting = [output]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += [tensor.partition(":")[0] for tensor in nodes[name].input]
    found = tf.compat.v1.GraphDef(versions=graph.versions)
    found.node.extend(node for node in graph.node if node.name in needed)
    return found


def _fold(graph: tf.compat.v1.GraphDef, original: tf.Graph) -> None:
    """Replaces in ``graph`` each norm behind a convolution by a bias, and the kernel."""
    nodes = {node.name: node for node in graph.node}
    uses = Counter(tensor for node in graph.node for tensor in node.input)
    pairs = [
        (nodes[norm.input[0]], norm)
        for norm in nodes.values()
        if norm.op == _NORM and nodes[norm.input[0]].op == "Conv2D" and uses[norm.input[0]] == 1
    ]
    with tf.compat.v1.Session(graph=original) as session:
        values = session.run(
            [[f"{name}:0" for name in (conv.input[1], *norm.input[1:5])] for conv, norm in pairs]
        )
    for (conv, norm), (kernel, gamma, beta, mean, variance) in zip(pairs, values, strict=True):
        epsilon = norm.attr["epsilon"].f
        scale = gamma.astype(np.float64) / np.sqrt(variance.astype(np.float64) + epsilon)  # [C]
        conv.input[1] = _add_constant(graph, f"{conv.name}/folded", kernel * scale)
        bias = _add_constant(graph, f"{norm.name}/bias", beta - mean * scale)
        norm.op = "BiasAdd"
        norm.input[:] = [conv.name, bias]
        for name in set(norm.attr) - {"T", "data_format"}:
            del norm.attr[name]


def _pad_pools_with_zeros(graph: tf.compat.v1.GraphDef) -> None:
    """Lets a maximum over what a ReLU gives start from 0 in place of the lowest number.

    The result is the same, and whole numbers of eight bits can express its range: TFLite's
    interpreter aborts the process on a range that ends at the lowest number.
    """
    nodes = {node.name: node for node in graph.node}
    for pool in [node for node in nodes.values() if node.op == "MaxPool"]:
        pad = nodes[pool.input[0]]
        if pad.op == "PadV2" and nodes[pad.input[0]].op == "Relu":
            pad.input[2] = _add_constant(graph, f"{pad.name}/zero", np.zeros([]))


def _narrowed(graph: tf.compat.v1.GraphDef, output: str) -> tf.compat.v1.GraphDef:
    """The graph in bfloat16, its weights too, but for what needs the digits of float32."""
    with tf.Graph().as_default() as imported:
        tf.graph_util.import_graph_def(graph, name="")
    given = MetaGraphDef(graph_def=imported.as_graph_def(add_shapes=True))
    given.collection_def["train_op"].node_list.value.append(output)
    config = ConfigProto()
    rewriting = config.graph_options.rewrite_options
    rewriting.optimizers[:] = ["auto_mixed_precision_onednn_bfloat16", "constfold"]
    rewriting.auto_mixed_precision_onednn_bfloat16 = RewriterConfig.ON
    rewriting.meta_optimizer_iterations = RewriterConfig.ONE
    rewriting.min_graph_nodes = -1  # a small graph, too
    found = OptimizeGraph(config, given)
    types = {node.attr["T"].type for node in found.node if node.op == "Conv2D"}
    if types != {tf.bfloat16.as_datatype_enum}:
        raise BadInput(
            "precision=bfloat16 is not possible here: this TensorFlow does not narrow graphs for "
            f"this processor (oneDNN: {os.environ.get('TF_ENABLE_ONEDNN_OPTS', 'by default')}). "
            "Export in float32, or on a machine like the one that serves."
        )
    return found


def _add_constant(graph: tf.compat.v1.GraphDef, name: str, array: np.ndarray) -> str:
    node = graph.node.add(name=name, op="Const")
    node.attr["dtype"].type = tf.float32.as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(array, tf.float32))
    return name
