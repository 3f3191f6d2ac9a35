"""The project's commands on the tiniest ResNet, in processes that may be killed."""

import functools
import json
import os
from pathlib import Path

from cmnas_tf.architecture import BACKBONES
from cmnas_tf.runs.checkpoints import Checkpoints
from tests.forked import Forked
from tests.tiny_people import ONE_BLOCK


class Command(Forked):
    """A command in a process; ResNet-18 is left with one block.

    Args:
      name: of the command.
      flags: besides those that make it tiny.
      log: the file that it writes to.
      tf_config: for TF_CONFIG.
      fault: called in the process before the command.
    """

    def __init__(self, name, *flags, log, tf_config=None, fault=None):
        self.log = Path(log)
        before = functools.partial(_prepare, tf_config, fault)
        super().__init__(name, *flags, out=self.log, err=self.log, before=before)

    def wait(self, timeout=120):
        """Its exit code, minus the number of the signal that killed it, and what it wrote."""
        code = self.join(timeout)
        assert code is not None, f"still running:\n{self.log.read_text()}"
        return code, self.log.read_text()


def _prepare(tf_config, fault):
    os.environ.pop("TF_CONFIG", None)
    if tf_config:
        os.environ["TF_CONFIG"] = json.dumps(tf_config)
    BACKBONES.entries["resnet18"] = ONE_BLOCK
    if fault is not None:
        fault()


def newest(folder):
    """The newest checkpoint of a run."""
    return Checkpoints(folder / "checkpoints").newest()
