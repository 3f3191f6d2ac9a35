"""One look for every progress bar."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tqdm import tqdm


def progress_bar(total: int, unit: str, shown: bool, initial: int = 0) -> "tqdm":
    """A bar on stderr: lively in a terminal, a line every half minute in a log file.

    Args:
      total: how many units there are.
      unit: what they are called, in the singular.
      shown: whether to show anything at all.
      initial: how many were done before.
    """
    from tqdm import tqdm

    return tqdm(
        total=total,
        initial=initial,
        unit=unit,
        disable=not shown,
        bar_format="{desc} |{bar:16}| {n}/{total} {elapsed}<{remaining} {rate_fmt}{postfix}",
        dynamic_ncols=True,
        mininterval=0.2 if sys.stderr.isatty() else 30.0,
    )
