"""The project's commands in processes forked from one that has TensorFlow loaded, which saves
seconds at each start."""

import contextlib
import fcntl
import multiprocessing
import os
import runpy
import signal
import sys
import tempfile
from pathlib import Path

import psutil

from cmnas_tf.commands import processes
from cmnas_tf.interrupt import stop_with_parent
from cmnas_tf.registry import load_plugins
from tests.tiny_people import PLUGIN

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["cmnas_tf.searching.search", "cmnas_tf.training.train"])


class Forked:
    """``python -m cmnas_tf <command>`` in a process of its own, on the CPU.

    Args:
      command: its name.
      flags: of the command.
      out, err: files that it writes to.
      before: called in the process before the command.
    """

    def __init__(self, command, *flags, out, err, before=None):
        for file in (out, err):
            file.touch()  # it may be killed before it writes
        arguments = (command, [*map(str, flags)], out, err, before)
        self._process = _context.Process(target=_run, args=arguments)
        self._process.start()

    def signal(self, number=signal.SIGKILL):
        os.kill(self._process.pid, number)

    def kill_all(self):
        """Kills it and the processes that it has begun, as a power failure does."""
        with contextlib.suppress(psutil.NoSuchProcess):  # it may have ended by now
            own = psutil.Process(self.pid)
            children = own.children(recursive=True)
            for process in (own, *children):
                process.kill()
            psutil.wait_procs(children)

    @property
    def pid(self):
        return self._process.pid

    @property
    def running(self):
        return self._process.is_alive()

    def join(self, timeout=120):
        """Its exit code, minus the number of the signal that killed it; None if still running."""
        self._process.join(timeout)
        return self._process.exitcode


def _run(command, flags, out, err, before):
    for stream, file in ((1, out), (2, err)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_APPEND), stream)
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    if before is not None:
        before()
    sys.path.append(str(PLUGIN))
    load_plugins.cache_clear()  # which what is loaded beforehand has called
    processes.start_command = _Started
    _main(command, *flags)


def _main(*words):
    sys.argv = ["cmnas_tf", *words]
    runpy.run_module("cmnas_tf", run_name="__main__")


class _Started:
    """What ``commands.processes.start_command`` gives, forked from the command that starts it."""

    def __init__(self, *words, output=None, environment=None):
        arguments = words, output, environment or {}
        self._process = multiprocessing.get_context("fork").Process(target=_begin, args=arguments)
        self._process.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.wait()

    def poll(self):
        return self._process.exitcode

    def wait(self):
        self._process.join()
        return self._process.exitcode

    def send_signal(self, number):
        os.kill(self._process.pid, number)


def _begin(words, output, environment):
    os.setsid()
    stop_with_parent()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)  # as for a program that was just begun
    for stream in (1, 2) if output else ():
        os.dup2(output.fileno(), stream)
    os.environ.update(environment)
    _main(*words)


class Said:
    """What a process says, through a pipe: for one that can write no files.

    Attributes:
      path: that it writes to.
    """

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory()
        self.path = Path(self._folder.name) / "pipe"
        os.mkfifo(self.path)
        self._pipe = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
        fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, 2**20)  # so that nobody need read meanwhile
        return self

    def __exit__(self, *_):
        os.close(self._pipe)
        self._folder.cleanup()

    def text(self):
        """What it has said until now."""
        with contextlib.suppress(BlockingIOError):
            return os.read(self._pipe, 2**20).decode()
        return ""
