"""``python -m cmnas_tf.import_weights``: weights made with PyTorch, as a checkpoint.

Takes the authors' checkpoints, and ImageNet weights with torchvision's names. The checkpoint goes
to ``--initial_weights`` of search and train, and to ``--checkpoint`` of evaluate and export.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from cmnas_tf import command_line, settings
from cmnas_tf.errors import BadInput

if TYPE_CHECKING:
    from cmnas_tf.models import ReidNetwork
    from cmnas_tf.weights import LoadReport
    from cmnas_tf.weights.reader import State


def main(options: settings.ImportWeights) -> None:
    """Writes the checkpoint and says what became of every key."""
    print(import_weights(options))
    print(f"written to {options.file.output}")


def import_weights(options: settings.ImportWeights) -> "LoadReport":
    """Writes a checkpoint of a file's weights, or nothing.

    ``model`` and ``ema`` of an authors' checkpoint become the live weights and the average, which
    ``--weights`` of evaluate and export tells apart; a file with one state gives both.

    Args:
      options: of the command.

    Returns:
      What became of the keys of the file.

    Raises:
      BadInput: the file cannot be read or does not fit, a two-stream network has no architecture
        given, or the output exists.
    """
    path, output = options.file.weights, Path(options.file.output)
    if not options.file.output or output.exists():
        raise BadInput(
            f"--output={options.file.output!r} is empty or exists; give the path of a new file."
        )

    import numpy as np

    from cmnas_tf.models.specification import Specification
    from cmnas_tf.runs import checkpoints
    from cmnas_tf.runs.provenance import provenance
    from cmnas_tf.training.train import SPECIFICATION, named_architecture
    from cmnas_tf.training.trained import PARTS
    from cmnas_tf.weights.reader import read_torch_file
    from cmnas_tf.weights.torch_names import is_torchvision

    states = read_torch_file(path)
    if not options.file.architecture and not is_torchvision(states["live"]):
        raise BadInput(
            f"{path} does not say which batch norms its network uses; give --architecture=, for "
            "example the config.cfg that lies beside it."
        )
    classifier = states["live"].get("classifier.weight", np.empty(1))
    specification = Specification.of(
        named_architecture(options.file.architecture or "shared", options.network),
        max([1, *classifier.shape[:1]]),
        options.input,
        options.network,
    )
    network = specification.build()
    tensors: State = {}
    for weights, part in PARTS.items():
        try:
            report = _load(network, states[weights])
        except BadInput as error:
            raise BadInput(f"{path}: {error}") from error
        values = network.get_weight_paths().items()
        tensors |= {f"{part}/{name}": variable.numpy() for name, variable in values}
    metadata = {SPECIFICATION: specification.to_json(), **provenance(options)}
    checkpoints.write(output, 0, tensors, metadata)
    return report


def _load(network: "ReidNetwork", state: "State") -> "LoadReport":
    import tensorflow as tf

    from cmnas_tf.weights import load_initial_state, load_torch_state
    from cmnas_tf.weights.torch_names import from_torchvision, is_torchvision

    if not is_torchvision(state):
        return load_torch_state(network, state)
    report = load_initial_state(network, from_torchvision(state))
    # A network of ImageNet classes has no neck: this one changes nothing, this classifier knows
    # nothing, and training starts both anew.
    neck, classifier = network.head.neck, network.head.classifier
    neck.gamma.assign(tf.ones_like(neck.gamma))
    classifier.kernel.assign(tf.zeros_like(classifier.kernel))
    return report


if __name__ == "__main__":
    command_line.run(main, settings.ImportWeights)
