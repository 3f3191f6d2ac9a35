"""``cmnas export_torch``: a trained network's weights for the authors' PyTorch programs."""

from dataclasses import dataclass

from cmnas_tf.commands.options_of_runs import TrainedSource
from cmnas_tf.options import Options, option, path_option


@dataclass(frozen=True, kw_only=True)
class ExportTorch(Options):
    """Writes a trained network's weights for the authors' PyTorch programs.

    Their test.py reads a pickle, which PyTorch writes of weights.safetensors:

      state = safetensors.torch.load_file("weights.safetensors")
      torch.save({"model": state, "ema": state}, "checkpoint.pth.tar")
    """

    export_dir: str = path_option("Folder to write; it must not exist.", required=True)
    module_prefix: bool = option(
        False, "Begin every name with module., as the authors' programs load and save them."
    )
    source: TrainedSource = TrainedSource()


def main(command: ExportTorch) -> None:
    """Exports and says where the files are."""
    from cmnas_tf.serving.export_torch import CONFIG, WEIGHTS, export_torch

    folder = export_torch(command.source.load(), command.export_dir, command.module_prefix)
    print(f"written to {folder}: {WEIGHTS}, {CONFIG}")
