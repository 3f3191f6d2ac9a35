"""The project's commands as a user runs them: ``python -m``, in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

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
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        **{**piped, **how},
    )


def run(command, *flags, code=0):
    """Runs a command to its end; gives what it wrote to stdout and stderr."""
    process = start(command, *flags)
    out, err = process.communicate()
    assert process.returncode == code, err
    assert "Traceback" not in err
    return out, err
