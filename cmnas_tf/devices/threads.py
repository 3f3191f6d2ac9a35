"""How many threads share an operation on the CPU: what the last bits of a result follow from."""

import logging
import os
from dataclasses import dataclass

from cmnas_tf.errors import BadInput
from cmnas_tf.machine import cores
from cmnas_tf.options import Options, advanced

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Threads(Options):
    """Threads of the CPU; their number is recorded with the run."""

    threads: int = advanced(
        0,
        "Threads that share an operation on the CPU. The last bits of a result depend on it. 0: as "
        "many as the run began with, or one for each core.",
        minimum=0,
        affects_result=False,
    )


def threads_to_use(asked: int, before: int) -> int:
    """How many it shall be; 0 where none are asked for, or none were recorded when it began.

    Raises:
      BadInput: others are asked for than it began with.
    """
    if asked and before not in (0, asked):
        raise BadInput(
            f"threads={asked}, but it began with threads={before}; with others its last bits would "
            "be others. Leave it out to resume, or give another `run_dir`."
        )
    if before not in (0, _here()):
        logger.info("Resumes with threads=%d, as it began; here it would be %d.", before, _here())
    return asked or before or _here()


def _here() -> int:
    """What TensorFlow would take: of its own variable, or one for each core."""
    variable = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    return (int(variable) if variable.isdecimal() else 0) or cores()


def threads_in_use() -> int:
    """How many threads of this process share an operation."""
    import tensorflow as tf

    return tf.config.threading.get_intra_op_parallelism_threads() or _here()


def use_threads(asked: int, before: int) -> int:
    """Has TensorFlow use :func:`threads_to_use` before it computes; gives what it uses from now."""
    import tensorflow as tf

    wanted = threads_to_use(asked, before)
    try:
        tf.config.threading.set_intra_op_parallelism_threads(wanted)
        return wanted
    except RuntimeError:  # it has computed already
        now = threads_in_use()
        if now != wanted:
            logger.warning("This process has threads=%d already, not %d.", now, wanted)
        return now
