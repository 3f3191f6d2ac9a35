"""Keras layers: convolutions with PyTorch's padding, and normalisation that knows modalities."""

from cmnas_tf.layers.batch_norm import BatchNorm
from cmnas_tf.layers.mixed_norm import MixedModalityNorm
from cmnas_tf.layers.modality_norm import ModalityNorm
from cmnas_tf.layers.relaxation import Gdas, GumbelSoftmax, Paths, Relaxation, Softmax
from cmnas_tf.layers.torch_padding import (
    DepthwiseConv,
    TorchConv,
    avg_pool_3x3,
    generalized_mean,
    max_pool_3x3,
)

__all__ = [
    "BatchNorm",
    "DepthwiseConv",
    "Gdas",
    "GumbelSoftmax",
    "MixedModalityNorm",
    "ModalityNorm",
    "Paths",
    "Relaxation",
    "Softmax",
    "TorchConv",
    "avg_pool_3x3",
    "generalized_mean",
    "max_pool_3x3",
]
