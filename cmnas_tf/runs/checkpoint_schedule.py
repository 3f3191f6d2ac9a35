"""When a checkpoint is due: every epoch, every so many steps, or every so many minutes."""

import re
import time
from collections.abc import Callable

from cmnas_tf.errors import BadInput


def checkpoint_due(
    every: str, steps_per_epoch: int, clock: Callable[[], float] = time.monotonic
) -> Callable[[int], bool]:
    """Makes the function that says after how many steps a checkpoint is due.

    Args:
      every: ``"epoch"``, a number of steps such as ``"500"``, or minutes such as ``"10m"``.
      steps_per_epoch: steps of an epoch.
      clock: gives seconds.

    Raises:
      BadInput: ``every`` is nothing of these.
    """
    if every == "epoch":
        return lambda done: done % steps_per_epoch == 0
    if re.fullmatch(r"[1-9]\d*", every):
        return lambda done: done % int(every) == 0
    minutes = re.fullmatch(r"(\d+(?:\.\d+)?)m", every)
    if not minutes or not float(minutes[1]):
        raise BadInput(
            f"--checkpoint_every={every!r} must be epoch, a number of steps such as 500, or "
            "minutes such as 10m."
        )
    last = clock()

    def due(_: int) -> bool:
        nonlocal last
        if clock() - last < 60.0 * float(minutes[1]):
            return False
        last = clock()
        return True

    return due
