"""The project's commands on the tiniest ResNet, in processes that may be killed.

They are forked from a server that has TensorFlow loaded, which saves seconds at each start.
"""

import importlib
import json
import multiprocessing
import os
import signal
import sys
import threading
from pathlib import Path

from tqdm import tqdm

from cmnas_tf import architecture, command_line, settings
from cmnas_tf.training.checkpoints import Checkpoints

_forked = multiprocessing.get_context("forkserver")
_forked.set_forkserver_preload(["cmnas_tf.training.search_run", "cmnas_tf.training.retrain"])


class Command:
    """``python -m cmnas_tf.<name>`` in a process of its own; ResNet-18 is left with one block.

    Args:
      name: of the command.
      flags: besides those that make it tiny.
      tf_config: for TF_CONFIG.
      fault: called in the process before the command.
    """

    def __init__(self, name, *flags, log, tf_config=None, fault=None):
        self.log = Path(log)
        self.log.touch()  # it may be killed before it writes
        arguments = (name, [*map(str, flags)], self.log, tf_config, fault)
        self._process = _forked.Process(target=_run, args=arguments)
        self._process.start()

    def signal(self, number=signal.SIGKILL):
        os.kill(self._process.pid, number)

    @property
    def pid(self):
        return self._process.pid

    @property
    def running(self):
        return self._process.is_alive()

    def wait(self, timeout=120):
        """Its exit code, minus the number of the signal that killed it, and what it wrote."""
        self._process.join(timeout)
        assert not self.running, f"still running:\n{self.log.read_text()}"
        return self._process.exitcode, self.log.read_text()


def _run(name, flags, log, tf_config, fault):
    for stream in (1, 2):
        os.dup2(os.open(log, os.O_WRONLY | os.O_APPEND), stream)
    os.environ.pop("TF_CONFIG", None)
    if tf_config:
        os.environ["TF_CONFIG"] = json.dumps(tf_config)
    tqdm.set_lock(threading.RLock())  # instead of a semaphore, which a killed process would leave
    architecture.RESNETS["resnet18"] = architecture.ResNetPlan((1, 0, 0, 0), bottleneck=False)
    if fault is not None:
        fault()
    sys.argv = [name, *flags]
    command = importlib.import_module(f"cmnas_tf.{name}")
    command_line.run(command.main, getattr(settings, name.capitalize()))


def newest(folder):
    """The newest checkpoint of a run."""
    return Checkpoints(folder / "checkpoints").newest()
