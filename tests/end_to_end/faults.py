"""What befalls a process that writes: it is killed, or its disk is full; called in the process."""

import itertools
import os
import resource
import signal
import sys
from pathlib import Path

_CHANGES = {"os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "shutil.rmtree"}
_WRITING = os.O_WRONLY | os.O_RDWR


def killed_at_change(folder: Path, number: int) -> None:
    """Kills it before Python makes the n-th change to what lies in the folder."""

    def kill_at(count):
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)

    _at_changes(folder, kill_at)


def counting_changes(folder: Path, counted: Path) -> None:
    """Makes a file as long as there are such changes."""
    file = os.open(counted, os.O_WRONLY | os.O_CREAT)
    _at_changes(folder, lambda _: os.write(file, b"."))


def _at_changes(folder, act):
    process, counts = os.getpid(), itertools.count(1)

    def hear(event, arguments):
        writes = event == "open" and arguments[2] & _WRITING
        if not writes and event not in _CHANGES:
            return
        if os.getpid() == process and str(arguments[0]).startswith(str(folder)):
            act(next(counts))

    sys.addaudithook(hear)


def killed_at_byte(number: int) -> None:
    """Has the kernel kill it in the write of a file's n-th byte, whoever writes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    full_at_byte(number)


def full_at_byte(number: int) -> None:
    """Lets no file become larger: who writes more is told, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (number, resource.RLIM_INFINITY))
