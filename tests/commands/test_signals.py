"""A signal while a command is still being imported: the documented code, and no traceback."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cmnas_tf.interrupt import SIGNALS

ROOT = Path(__file__).parents[2]
# The last module that is imported before the signal comes: of ours, of the command, of TensorFlow.
OURS = ("cmnas_tf.errors", "cmnas_tf.options", "absl.flags", "cmnas_tf.commands.command_line")
OF_COMMAND = ("cmnas_tf.data", "cmnas_tf.losses", "cmnas_tf.training.recipes")
OF_TENSORFLOW = (
    "numpy",
    "google.protobuf",
    "tensorflow.python.framework.ops",
    "tf_keras.src.utils",
)


def interrupted_after(module, number):
    """Exit code as a shell counts it, and what is said besides the names of modules.

    ``-X importtime`` names each module on stderr as soon as it is imported.
    """
    command = [sys.executable, "-X", "importtime", "-m", "cmnas_tf.search"]
    command += ["--data_dir=none", "--run_dir=none"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if line.split("|")[-1].strip() == module:
                break
        else:
            raise AssertionError(f"{module} is not imported")
        process.send_signal(number)
        said = [line for line in process.stderr if not line.startswith("import time:")]
    code = process.returncode
    return 128 - code if code < 0 else code, "".join(said)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda n: n.name)
@pytest.mark.parametrize("module", OURS)
def test_before_the_command_is_there(module, number):
    code, said = interrupted_after(module, number)
    assert (code, "Traceback" in said) == (128 + number, False), said


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
@pytest.mark.parametrize("module", [*OF_COMMAND, *OF_TENSORFLOW])
def test_while_it_imports_what_it_needs(module, number):
    code, said = interrupted_after(module, number)
    assert (code, "Traceback" in said) == (128 + number, False), said
