"""What a network starts from: random weights, ImageNet's, or those of a checkpoint."""

from pathlib import Path

from cmnas_tf import settings as settings_module
from cmnas_tf.errors import BadInput
from cmnas_tf.models import ReidNetwork
from cmnas_tf.runs import checkpoints
from cmnas_tf.weights import load_initial_state
from cmnas_tf.weights.imagenet import imagenet_file
from cmnas_tf.weights.reader import State, read_torch_file
from cmnas_tf.weights.torch_names import (
    backbone_of,
    from_torchvision,
    torch_arrays,
    torch_variables,
)

IMAGENET = "imagenet"


def start_from(
    network: ReidNetwork, settings: settings_module.Search | settings_module.Train
) -> None:
    """Gives a new network the weights that ``--initial_weights`` names, and says what stayed fresh.

    Of a training run's checkpoint the average is taken. Neck and classifier come along when they
    were trained on as many identities; architecture logits always start at 0. A run that goes on
    has its own checkpoint, and nothing is done.

    Args:
      network: a derived network or a supernet.
      settings: of the command.

    Raises:
      BadInput: the weights cannot be had, or do not fit the network; it is left as it was.
    """
    name = settings.start.initial_weights
    if not name or checkpoints.Checkpoints(Path(settings.run.run_dir) / "checkpoints").paths():
        return
    if name == IMAGENET:
        backbone = backbone_of(torch_variables(network))
        if backbone is None:
            raise BadInput(
                f"--initial_weights={IMAGENET}: there are ImageNet weights of ResNets, not of a "
                "network of cells. Leave the flag out, or give a checkpoint of the same network."
            )
        file = imagenet_file(backbone, settings.progress.progress)
        state = from_torchvision(read_torch_file(file)["live"])
    else:
        state = _of_checkpoint(name)
    try:
        report = load_initial_state(network, state)
    except BadInput as error:
        raise BadInput(f"--initial_weights={name}: {error}{_of_search(name, settings)}") from error
    print(f"initial weights {name}: {report}")


def _of_checkpoint(path: str) -> State:
    try:
        tensors = checkpoints.read(Path(path)).tensors
    except BadInput as error:
        raise BadInput(
            f"--initial_weights: {error} It takes a checkpoint, or the word {IMAGENET}; a file of "
            "PyTorch becomes a checkpoint by python -m cmnas_tf.import_weights."
        ) from error
    averaged = any(name.startswith("average/") for name in tensors)
    part = "average/" if averaged else "network/"
    own = {name: tensor for name, tensor in tensors.items() if name.startswith(part)}
    return torch_arrays({name.removeprefix(part): tensor for name, tensor in own.items()})


def _of_search(path: str, settings: settings_module.Search | settings_module.Train) -> str:
    """What else there is to say when the weights of a search do not fit a derived network."""
    if isinstance(settings, settings_module.Search) or path == IMAGENET:
        return ""
    if "search_space" not in checkpoints.read(Path(path)).metadata.get("settings", {}):
        return ""
    return (
        " It is a checkpoint of a search, whose network has every candidate, and norms without "
        "scale and offset: what it derives is trained from random weights. Leave the flag out."
    )
