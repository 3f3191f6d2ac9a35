"""What a network starts from: random weights, ImageNet's, or those of a checkpoint."""

import logging
from collections.abc import Callable
from pathlib import Path

from cmnas_tf.errors import BadInput
from cmnas_tf.models import ReidNetwork
from cmnas_tf.runs import checkpoints
from cmnas_tf.runs.run_folder import RunFolder
from cmnas_tf.weights import load_initial_state
from cmnas_tf.weights.imagenet import imagenet_file
from cmnas_tf.weights.reader import TorchState, read_torch_file
from cmnas_tf.weights.torch_names import (
    backbone_of,
    from_torchvision,
    torch_arrays,
    torch_variables,
)

logger = logging.getLogger(__name__)

IMAGENET = "imagenet"


def start_from(
    network: ReidNetwork, name: str, progress: bool = False, supernet: bool = False
) -> None:
    """Gives a new network the weights of a name, and says what stayed fresh.

    Of a training run's checkpoint the average is taken. Neck and classifier come along when they
    were trained on as many identities; architecture logits always start at 0.

    Args:
      name: ``"imagenet"``, a checkpoint, or the folder of a run that has one.
      progress: whether to show a bar while weights are fetched.

    Raises:
      BadInput: the weights cannot be had, or do not fit the network; it is left as it was.
    """
    searched = False
    if name == IMAGENET:
        backbone = backbone_of(torch_variables(network))
        if backbone is None:
            raise BadInput(
                f"initial_weights={IMAGENET}: there are ImageNet weights of ResNets, not of a "
                "network of cells. Leave `initial_weights` out, or give a checkpoint of the same "
                "network."
            )
        state = from_torchvision(read_torch_file(imagenet_file(backbone, progress))["live"])
    else:
        state, searched = _of_checkpoint(name)
    try:
        report = load_initial_state(network, state)
    except BadInput as error:
        hint = _OF_SEARCH if searched and not supernet else ""
        raise BadInput(f"initial_weights={name}: {error}{hint}") from error
    logger.info("initial weights %s: %s", name, report)


def starting(
    run: RunFolder, name: str, progress: bool, supernet: bool = False
) -> Callable[[ReidNetwork], None]:
    """What a run does to its new network: :func:`start_from` ``name``, where there is one.

    A run that has begun leaves it to the checkpoint, and needs the weights no more.
    """

    def start(network: ReidNetwork) -> None:
        if name and not run.has_begun():
            start_from(network, name, progress, supernet)

    return start


_OF_SEARCH = (
    " It is a checkpoint of a search, whose network has every candidate, and norms without scale "
    "and offset: what it derives is trained from random weights. Leave `initial_weights` out."
)


def _of_checkpoint(path: str) -> tuple[TorchState, bool]:
    """The weights of a checkpoint, and whether a search wrote it."""
    try:
        found = RunFolder(path).newest() if Path(path).is_dir() else checkpoints.read(Path(path))
        if found is None:
            raise BadInput(f"The folder {path} holds no checkpoint.")
    except BadInput as error:
        raise BadInput(
            f"`initial_weights`: {error} It takes a checkpoint, the folder of a run, or the word "
            f"{IMAGENET}; a file of PyTorch becomes a checkpoint by `import_weights`."
        ) from error
    tensors = found.tensors
    averaged = any(name.startswith("average/") for name in tensors)
    part = "average/" if averaged else "network/"
    own = {name: tensor for name, tensor in tensors.items() if name.startswith(part)}
    state = torch_arrays({name.removeprefix(part): tensor for name, tensor in own.items()})
    return state, "search_space" in found.metadata.get("settings", {})
