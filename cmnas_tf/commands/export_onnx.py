"""``cmnas export_onnx``: a trained network as ONNX."""

from dataclasses import dataclass
from typing import Any

from cmnas_tf.commands.options_of_runs import Data, TrainedSource
from cmnas_tf.evaluation.matching import ProtocolChoice
from cmnas_tf.options import Options, path_option


@dataclass(frozen=True, kw_only=True)
class ExportOnnx(Options):
    """Converts a trained network to ONNX, and measures what that costs."""

    export_dir: str = path_option("Folder to write; it must not exist.", required=True)
    source: TrainedSource = TrainedSource()
    data: Data = Data()
    protocol: ProtocolChoice = ProtocolChoice()


def main(command: ExportOnnx) -> None:
    """Converts, and says what was lost."""
    convert(command, "onnx")


def convert(command: ExportOnnx, format: str, **how: Any) -> None:
    """Converts to a format, and says what was lost."""
    from cmnas_tf.serving.conversion import convert_network

    model = command.source.load()
    found = convert_network(
        model,
        command.export_dir,
        command.data.load("test", model.specification.grey16),
        format,
        protocol=command.protocol.make(command.data.layout),
        **how,
    )
    print(f"written to {found.folder}\n{found}")
