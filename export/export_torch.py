"""``python -m export.export_torch``: a trained network's weights for the authors' PyTorch code.

The folder holds ``weights.safetensors``, with every key of their network, and ``config.cfg``, their
line of integers. Their ``test.py`` reads a pickle, which PyTorch writes of it::

    state = safetensors.torch.load_file("weights.safetensors")
    torch.save({"model": state, "ema": state}, "checkpoint.pth.tar")

Read back with ``python -m cmnas_tf.import_weights`` it is the same network, bit for bit.
"""

from pathlib import Path

from cmnas_tf import command_line, settings
from cmnas_tf.errors import BadInput
from cmnas_tf.files import replacing, write_text

WEIGHTS = "weights.safetensors"
CONFIG = "config.cfg"


def main(options: settings.ExportTorch) -> None:
    """Exports and says where the files are."""
    folder = export(options)
    print(f"written to {folder}: {WEIGHTS}, {CONFIG}")


def export(options: settings.ExportTorch) -> Path:
    """Writes a network's weights with the authors' names, whole or not at all.

    Args:
      options: of the command.

    Returns:
      The new folder.

    Raises:
      BadInput: no such trained network, one of cells, or the folder exists.
    """
    folder = Path(options.target.export_dir)
    if not options.target.export_dir or folder.exists():
        raise BadInput(
            f"--export_dir={options.target.export_dir!r} is empty or exists; give the path of a "
            "new folder."
        )

    import numpy as np
    from safetensors.numpy import save

    from cmnas_tf.cell_plan import CellPlan
    from cmnas_tf.training.trained import load_trained
    from cmnas_tf.weights.torch_names import full_state

    checkpoint = options.checkpoint
    trained = load_trained(checkpoint.checkpoint, options.run.run_dir, checkpoint.weights)
    architecture = trained.specification.architecture
    if isinstance(architecture.backbone, CellPlan):
        raise BadInput(
            f"{trained.checkpoint.path} holds {architecture.backbone}, and the authors' PyTorch "
            "code has ResNets only. Export it with python -m export.export_saved_model."
        )
    prefix = "module." if options.target.module_prefix else ""
    # C order, because safetensors writes an array's memory as it lies.
    state = {
        f"{prefix}{name}": np.asarray(array, order="C")
        for name, array in full_state(trained.network).items()
    }
    with replacing(folder) as aside:
        aside.mkdir()
        (aside / WEIGHTS).write_bytes(save(state))
        write_text(aside / CONFIG, architecture.to_cfg() + "\n")
    return folder


if __name__ == "__main__":
    command_line.run(main, settings.ExportTorch)
