"""The project's commands in processes forked from one that has TensorFlow loaded, which saves
seconds at each start."""

import multiprocessing
import os
import runpy
import signal
import sys
import threading

from tqdm import tqdm

from cmnas_tf.registry import load_plugins
from tests.tiny_people import PLUGIN

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["cmnas_tf.searching.search", "cmnas_tf.training.train"])


class Forked:
    """``python -m cmnas_tf.<command>`` in a process of its own, on the CPU.

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
    tqdm.set_lock(threading.RLock())  # instead of a semaphore, which a killed process would leave
    if before is not None:
        before()
    sys.path.append(str(PLUGIN))
    load_plugins.cache_clear()  # which what is loaded beforehand has called
    module = f"cmnas_tf.{command}"
    sys.argv = [module, *flags]
    runpy.run_module(module, run_name="__main__")
