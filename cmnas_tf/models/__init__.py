"""Keras networks."""

from cmnas_tf.models.head import Embeddings, Head
from cmnas_tf.models.resnet import ResNet
from cmnas_tf.models.two_stream import ReidNetwork, cell_network, two_stream

__all__ = ["Embeddings", "Head", "ReidNetwork", "ResNet", "cell_network", "two_stream"]
