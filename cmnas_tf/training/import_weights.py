"""Weights made with PyTorch, as a checkpoint of this program."""

import os

import numpy as np
import tensorflow as tf
import tf_keras as keras

from cmnas_tf.architecture import Architecture, Backbone
from cmnas_tf.data.augmentation import ImageSize
from cmnas_tf.errors import BadInput
from cmnas_tf.files import new_path
from cmnas_tf.models import ReidNetwork
from cmnas_tf.models.specification import Specification
from cmnas_tf.network_parts import PLAIN, NetworkParts
from cmnas_tf.options import described
from cmnas_tf.runs import checkpoints
from cmnas_tf.runs.provenance import provenance
from cmnas_tf.training.trained import PARTS, SPECIFICATION
from cmnas_tf.weights import LoadReport, load_initial_state, load_torch_state
from cmnas_tf.weights.reader import TorchState, read_torch_file
from cmnas_tf.weights.torch_names import from_torchvision, is_torchvision


def import_weights(
    file: str | os.PathLike[str],
    output: str | os.PathLike[str],
    architecture: Architecture | None = None,
    *,
    backbone: Backbone = "resnet50",
    size: ImageSize | None = None,
    width: float = 1.0,
    last_stride: int = 1,
    parts: NetworkParts = PLAIN,
) -> LoadReport:
    """Writes a checkpoint of a file's weights, or nothing; says what became of the file's keys.

    ``model`` and ``ema`` of an authors' checkpoint become the live weights and the average; a file
    with one state gives both.

    Args:
      file: ``.safetensors``, or what ``torch.save`` wrote, which needs PyTorch.
      output: the checkpoint to write; it must not exist.
      architecture: of the network. An ImageNet ResNet needs none and becomes all shared.
      backbone: of an ImageNet ResNet without an architecture.
      size: of the network's input.
      width: factor on the number of channels of every stage.
      last_stride: stride of a ResNet's last stage.
      parts: what the network has besides; non-local blocks that the file has not are drawn from a
        seed of their own.

    Raises:
      BadInput: the file cannot be read or does not fit, a two-stream network has no architecture
        given, or the output exists.
    """
    output = new_path(output, "output")
    states = read_torch_file(file)
    if architecture is None and not is_torchvision(states["live"]):
        raise BadInput(
            f"{file} does not say which batch norms its network uses; give `architecture`, for "
            "example the config.cfg that lies beside it."
        )
    size = size or ImageSize()
    classifier = states["live"].get("classifier.weight", np.empty(1))
    specification = Specification(
        architecture or Architecture.shared(backbone),
        max([1, *classifier.shape[:1]]),
        size.image_height,
        size.image_width,
        last_stride,
        width,
        parts=parts,
        grey16=size.grey16_range,
    )
    keras.utils.set_random_seed(0)
    network = specification.build()
    tensors: TorchState = {}
    for weights, part in PARTS.items():
        try:
            report = _load(network, states[weights])
        except BadInput as error:
            raise BadInput(f"{file}: {error}") from error
        values = network.get_weight_paths().items()
        tensors |= {f"{part}/{name}": variable.numpy() for name, variable in values}
    settings = {
        "file": os.fspath(file),
        **size.values(),
        "width": width,
        "last_stride": last_stride,
        **described([parts]),
    }
    metadata = {SPECIFICATION: specification.to_json(), **provenance(settings)}
    checkpoints.write(output, 0, tensors, metadata)
    return report


def _load(network: ReidNetwork, state: TorchState) -> LoadReport:
    if not is_torchvision(state):
        return load_torch_state(network, state)
    report = load_initial_state(network, from_torchvision(state))
    # A network of ImageNet classes has no neck: this one changes nothing, this classifier knows
    # nothing, and training starts both anew.
    neck, classifier = network.head.neck, network.head.classifier
    neck.gamma.assign(tf.ones_like(neck.gamma))
    classifier.kernel.assign(tf.zeros_like(classifier.kernel))
    return report
