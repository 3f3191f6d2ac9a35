"""The project's commands as a user runs them, in processes of their own."""

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from cmnas_tf.commands.words import flag_behind
from tests.forked import Forked
from tests.tiny_people import PLUGIN

ROOT = Path(__file__).parents[2]


def start(command, *flags, **how):
    """The process of ``python -m cmnas_tf.<command>``.

    Args:
      command: its name.
      flags: of the command.
      how: what ``subprocess.Popen`` shall do otherwise than pipe both outputs as text.
    """
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(
        [sys.executable, "-m", f"cmnas_tf.{command}", *map(str, flags)],
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "PYTHONPATH": str(PLUGIN)},
        **{**piped, **how},
    )


def run(command, *flags, code=0):
    """Runs a command to its end; gives what it wrote to stdout and stderr.

    Args:
      command: its name.
      flags: of the command.
      code: its exit code.
    """
    with tempfile.TemporaryDirectory() as folder:
        out, err = (Path(folder) / name for name in ("out", "err"))
        found = Forked(command, *flags, out=out, err=err).join(timeout=600)
        said = out.read_text(), err.read_text()
    assert found == code, said
    assert "Traceback" not in said[1]
    return said


def behind(prefix, *flags):
    """Flags of a part of a study."""
    return [flag_behind(prefix, flag) for flag in flags]


def flags_of(folder, name):
    """The flags of a command in a folder's ``commands.sh``, without its data, folder and module."""
    text = (folder / "commands.sh").read_text()
    shell = dict(re.findall(r'^([A-Z]+)="(.*?)"$', text, re.DOTALL | re.MULTILINE))
    words = shlex.split(shell[name].replace("$TINY", shell["TINY"]))
    return [
        w for w in words if w.startswith("--") and not w.startswith(("--data_dir", "--run_dir"))
    ]
