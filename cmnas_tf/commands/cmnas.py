"""``cmnas``: all commands by one name."""

import importlib
import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any

import cmnas_tf
from cmnas_tf.commands import command_line
from cmnas_tf.commands.help import print_and_end
from cmnas_tf.errors import BadInput, did_you_mean
from cmnas_tf.options import Options

# By group and name, what a command does, in a line. The module of that name has ``main``, which
# takes the command's options.
GROUPS = {
    "Research": {
        "search": "search a space for the best architecture",
        "train": "train one architecture",
        "evaluate": "measure a trained network by its protocol",
        "results": "list what runs reached, or compare two",
        "report": "show runs or a study as a page to look at",
        "trials": "train and evaluate on each of a data set's splits",
        "study": "compare searches and architectures over seeds",
    },
    "Data": {
        "prepare": "look through a data set; write it as shards",
        "make_synthetic": "draw synthetic people",
    },
    "Deployment": {
        "export": "write a SavedModel for TensorFlow Serving",
        "export_onnx": "convert to ONNX",
        "export_openvino": "convert to OpenVINO, for CPUs",
        "export_tflite": "convert to TFLite",
        "embed": "embed images in bulk, here or on a cluster",
        "rank": "measure a search of embeddings in bulk",
        "build_index": "make or change a gallery",
        "build_faiss_index": "make an index of a large gallery",
        "local_server": "serve a model for development",
        "browse": "search a gallery on a page in the browser",
        "client": "ask a model server about images",
    },
    "PyTorch": {
        "import_weights": "turn PyTorch weights into a checkpoint",
        "export_torch": "write weights for the authors' programs",
    },
    "First steps": {
        "doctor": "look whether this machine is fit, and say what to mend",
        "demo": "do everything once, on synthetic people",
    },
}
COMMANDS = [name for group in GROUPS.values() for name in group]


def load(name: str) -> tuple[Callable[[Any], None], type[Options]]:
    """``main`` of a command and the class of options that it takes; imports them."""
    main = importlib.import_module(f"cmnas_tf.commands.{name}").main
    (options,) = inspect.signature(main).parameters.values()
    return main, options.annotation


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command that the first word names; the console script ``cmnas``."""
    argv = list(sys.argv if argv is None else argv)
    name = argv[1] if len(argv) > 1 else "--help"
    if name in ("-h", "--help", "help"):
        print_and_end(_overview())
    if name == "--version":
        print_and_end(cmnas_tf.__version__)
    if name not in COMMANDS:
        meant = did_you_mean(name, COMMANDS)
        print(f"error: no command {name!r}.{meant} cmnas --help lists them.", file=sys.stderr)
        raise SystemExit(command_line.EXIT_BAD_INPUT)
    run(name, [f"cmnas {name}", *argv[2:]])


def run(name: str, argv: Sequence[str] = ()) -> None:
    """Runs a command; what ``python -m cmnas_tf.<name>`` does."""
    try:
        main_and_options = load(name)
    except BadInput as error:  # a plugin's, which is imported before there is a command
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(command_line.EXIT_BAD_INPUT) from error
    command_line.run(*main_and_options, argv)


def _overview() -> str:
    lines = ["cmnas COMMAND [--flag=value ...]", "cmnas COMMAND --help"]
    for title, group in GROUPS.items():
        lines += ["", f"{title}:"]
        lines += [f"  {name:<18} {what}" for name, what in group.items()]
    return "\n".join(lines)
