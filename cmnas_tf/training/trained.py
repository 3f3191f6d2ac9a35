"""From a checkpoint to the trained network it holds."""

from dataclasses import dataclass
from pathlib import Path

from cmnas_tf.errors import BadInput
from cmnas_tf.models import ReidNetwork
from cmnas_tf.models.precision import computed_in
from cmnas_tf.models.specification import Specification
from cmnas_tf.runs import checkpoints
from cmnas_tf.training.train import SPECIFICATION

PARTS = {"average": "average", "live": "network"}


@dataclass(frozen=True)
class Trained:
    """A trained network and where it came from.

    Attributes:
      network: with the checkpoint's weights.
      specification: how it was built.
      checkpoint: the file it was read from.
      weights: ``"average"`` or ``"live"``.
    """

    network: ReidNetwork
    specification: Specification
    checkpoint: checkpoints.Checkpoint
    weights: str


def load_trained(
    path: str, run_dir: str, weights: str = "average", precision: str = "float32"
) -> Trained:
    """Reads a trained network; never gives one with random weights.

    Args:
      path: the checkpoint; when empty, the newest one of ``run_dir``.
      run_dir: folder of a training run.
      weights: ``"average"``: the moving average; ``"live"``: the last step's weights.
      precision: what the network computes in, see ``models.precision``.

    Raises:
      BadInput: there is no such checkpoint, or it does not hold a whole derived network.
    """
    if path:
        checkpoint = checkpoints.read(Path(path))
    else:
        if not run_dir:
            raise BadInput("Give --checkpoint=FILE, or --run_dir of a training run.")
        newest = checkpoints.Checkpoints(Path(run_dir) / "checkpoints").newest()
        if newest is None:
            raise BadInput(
                f"--run_dir={run_dir} holds no checkpoint; train there first, or give "
                "--checkpoint=FILE."
            )
        checkpoint = newest
    if SPECIFICATION not in checkpoint.metadata:
        raise BadInput(
            f"{checkpoint.path} is a checkpoint of a search; train the architecture it found with "
            "python -m cmnas_tf.train and use that run's checkpoint."
        )
    specification = Specification.from_json(checkpoint.metadata[SPECIFICATION])
    with computed_in(precision):
        network = specification.build()
    checkpoint.restore({PARTS[weights]: network.get_weight_paths()})
    return Trained(network, specification, checkpoint, weights)
