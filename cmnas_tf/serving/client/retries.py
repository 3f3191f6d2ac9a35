"""Asking again when a server has no room or is away for a moment, and for no other reason."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from cmnas_tf.serving.call_error import CallError

T = TypeVar("T")

WORTH_REPEATING = ("UNAVAILABLE", "RESOURCE_EXHAUSTED")
LONGEST_WAIT = 5.0  # seconds


@dataclass
class Retries:
    """Exponential backoff with "full jitter".

    The wait before retry n = 0, 1, ... is uniform in [0, min(``LONGEST_WAIT``, first_wait 2^n)], so
    that clients that failed together do not come back together (M. Brooker, "Exponential Backoff
    And Jitter", AWS Architecture Blog, 2015).

    Args:
      times: how often a call is repeated at most.
      first_wait: longest wait before the first retry, in seconds.
      deadline: seconds that a call may take, its retries included.
      random: draws the waits.
      sleep, clock: of the time that passes, in seconds.
    """

    times: int
    first_wait: float
    deadline: float
    random: np.random.Generator
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def call(self, attempt: Callable[[float], T]) -> T:
        """What ``attempt`` returns, called with the seconds that are left.

        Raises:
          CallError: of the last attempt.
        """
        end = self.clock() + self.deadline
        for retry in range(self.times + 1):
            try:
                return attempt(max(end - self.clock(), 0.001))
            except CallError as error:
                wait = self.random.uniform(0, min(LONGEST_WAIT, self.first_wait * 2**retry))
                late = self.clock() + wait >= end
                if error.code not in WORTH_REPEATING or retry == self.times or late:
                    raise
            self.sleep(wait)
        raise AssertionError("the last attempt returns or raises")
