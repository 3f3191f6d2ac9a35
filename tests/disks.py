"""Disks without room, as far as a test can have one."""

import contextlib
import resource


@contextlib.contextmanager
def room_for(size):
    """No file becomes larger than ``size`` bytes; who writes more is told, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
