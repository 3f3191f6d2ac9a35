"""A command in a process of its own: when it ends, the system has all its memory back."""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from typing import IO

from cmnas_tf.interrupt import signals_handled_by, stop_with_parent


def run_command(name: str, *arguments: str) -> None:
    """Shows a command as it could be typed, and runs it to its end.

    The command is asked to stop, so that it saves what it did, when this process is asked to (by
    Ctrl-C or SIGTERM), and when this process is killed.

    Raises:
      SystemExit: the command failed or was stopped; with its exit code.
    """
    print(f"\n$ python -m cmnas_tf {name} {shlex.join(arguments)}", flush=True)
    process = start_command(name, *arguments)
    with process, signals_handled_by(lambda number, _: process.send_signal(number)):
        code = process.wait()
    if code:
        code = 128 - code if code < 0 else code
        said = "was stopped; rerun to resume" if code > 128 else "failed; see above"
        print(f"\ncmnas {name} {said}.", file=sys.stderr)
        raise SystemExit(code)


def start_command(
    name: str,
    *arguments: str,
    output: IO[bytes] | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen:
    """Starts a command; it is asked to stop when this process is killed.

    Args:
      output: a file that takes what it says, in the place of this process's terminal.
      environment: variables besides those of this process.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "cmnas_tf", name, *arguments],
        stdout=output,
        stderr=None if output is None else subprocess.STDOUT,
        env={**os.environ, **(environment or {})},
        start_new_session=True,  # or Ctrl-C would reach it twice, and twice means at once
        preexec_fn=stop_with_parent,
    )
