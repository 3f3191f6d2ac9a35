"""``cmnas``: all commands by one name."""

import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import cmnas_tf
from cmnas_tf.commands import command_line
from cmnas_tf.errors import did_you_mean
from cmnas_tf.options import Options


class Command(NamedTuple):
    """A command, without importing it.

    Attributes:
      module: of ``cmnas_tf.commands``, which has the class ``name`` and ``main``.
      name: of its class of options.
      says: what it does, in a line.
    """

    module: str
    name: str
    says: str

    def load(self) -> tuple[Callable[[Any], None], type[Options]]:
        """``main`` and the class of options; imports them."""
        module = importlib.import_module(f"cmnas_tf.commands.{self.module}")
        return module.main, getattr(module, self.name)


GROUPS: dict[str, dict[str, Command]] = {
    "Research": {
        "search": Command("search", "Search", "search a space for the best architecture"),
        "train": Command("train", "Train", "train one architecture"),
        "evaluate": Command("evaluate", "Evaluate", "measure a trained network by its protocol"),
        "trials": Command("trials", "Trials", "train and evaluate on each of a data set's splits"),
        "study": Command("study", "StudyCommand", "compare searches and architectures over seeds"),
    },
    "Data": {
        "prepare": Command("prepare", "Prepare", "look through a data set; write it as shards"),
        "make_synthetic": Command("make_synthetic", "MakeSynthetic", "draw synthetic people"),
    },
    "Deployment": {
        "export": Command("export", "Export", "write a SavedModel for TensorFlow Serving"),
        "export_onnx": Command("export_onnx", "ExportOnnx", "convert to ONNX"),
        "export_tflite": Command("export_tflite", "ExportTflite", "convert to TFLite"),
        "build_index": Command("build_index", "BuildIndex", "make or change a gallery"),
        "build_faiss_index": Command(
            "build_faiss_index", "BuildFaissIndex", "make an index of a large gallery"
        ),
        "local_server": Command("local_server", "LocalServer", "serve a model for development"),
        "client": Command("client", "Client", "ask a model server about images"),
    },
    "PyTorch": {
        "import_weights": Command(
            "import_weights", "ImportWeights", "turn PyTorch weights into a checkpoint"
        ),
        "export_torch": Command(
            "export_torch", "ExportTorch", "write weights for the authors' programs"
        ),
    },
    "First steps": {
        "demo": Command("demo", "Demo", "do everything once, on synthetic people"),
    },
}
COMMANDS = {name: command for group in GROUPS.values() for name, command in group.items()}


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command that the first word names; the console script ``cmnas``."""
    argv = list(sys.argv if argv is None else argv)
    name = argv[1] if len(argv) > 1 else "--help"
    if name in ("-h", "--help", "help"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        print(_overview())
        raise SystemExit(os.EX_OK)
    if name == "--version":
        print(cmnas_tf.__version__)
        raise SystemExit(os.EX_OK)
    if name not in COMMANDS:
        meant = did_you_mean(name, COMMANDS)
        print(f"error: no command {name!r}.{meant} cmnas --help lists them.", file=sys.stderr)
        raise SystemExit(command_line.EXIT_BAD_INPUT)
    run(name, [f"cmnas {name}", *argv[2:]])


def run(name: str, argv: Sequence[str] | None = None) -> None:
    """Runs a command; what ``python -m cmnas_tf.<name>`` does."""
    command_line.run(*COMMANDS[name].load(), argv or ())


def _overview() -> str:
    lines = ["cmnas COMMAND [--flag=value ...]", "cmnas COMMAND --help"]
    for title, group in GROUPS.items():
        lines += ["", f"{title}:"]
        lines += [f"  {name:<18} {command.says}" for name, command in group.items()]
    return "\n".join(lines)
