"""A trained network up to its embedding, as graphs that can be stored."""

import functools

import tensorflow as tf

from cmnas_tf.modality import Rows
from cmnas_tf.models import ReidNetwork
from cmnas_tf.models.specification import Specification
from cmnas_tf.serving.inference_graph import InferenceGraph


class Encoder(tf.Module):
    """A trained network up to its embedding, as a graph for each modality it was trained on.

    Attributes:
      weights: what the graphs need; the modalities share equal ones. Empty when frozen.
      size: of an embedding.
      folded: whether batch norms are part of the convolutions.

    Args:
      network: a trained network.
      specification: of the network.
      frozen: whether the weights are constants of the graphs.
    """

    def __init__(self, network: ReidNetwork, specification: Specification, frozen: bool = False):
        super().__init__()
        self.size = network.embedding_size
        # Folding is exact in float32; narrow numbers would be rounded at another place.
        self.folded = network.compute_dtype == "float32"
        spec = tf.TensorSpec([None, specification.height, specification.width, 3])
        graphs = {
            modality: InferenceGraph(
                functools.partial(_encode, network, modality), spec, self.folded
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

    def __call__(self, images: tf.Tensor, modality: str, training: bool = False) -> tf.Tensor:
        """``images`` [N, H, W, 3] float32, normalised, all of one modality -> [N, D] float32."""
        return self._encode(images, modality)


def _encode(network: ReidNetwork, modality: str, images: tf.Tensor) -> tf.Tensor:
    """The embedding of ``network.embed``, without its logits."""
    rows = Rows({modality: tf.shape(images)[0]})
    features = network.backbone(images, rows, training=False)  # [N, h, w, D]
    _, embedding = network.head.embed(features, training=False)
    return embedding
