"""Keras layers: convolutions with PyTorch's padding, and normalisation that knows modalities."""

from cmnas_tf.layers.batch_norm import BatchNorm
from cmnas_tf.layers.mixed_norm import MixedModalityNorm
from cmnas_tf.layers.modality_norm import ModalityNorm
from cmnas_tf.layers.relaxation import GumbelSoftmax, Relaxation, Softmax
from cmnas_tf.layers.torch_conv import TorchConv, max_pool_3x3

__all__ = [
    "BatchNorm",
    "GumbelSoftmax",
    "MixedModalityNorm",
    "ModalityNorm",
    "Relaxation",
    "Softmax",
    "TorchConv",
    "max_pool_3x3",
]
